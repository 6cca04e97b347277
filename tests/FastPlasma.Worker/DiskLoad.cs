using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Worker;

/// <summary>Puts more objects than memory holds, reads, deletes and puts them again, while the test makes the disk fail: each byte is looked at, and what cannot come must say of which object and file.</summary>
/// <param name="store">Has spill directories.</param>
/// <param name="prefix">Of the objects' names, which are this process's alone.</param>
/// <param name="seed">Of the sequence.</param>
internal sealed class DiskLoad(PlasmaStore store, string prefix, int seed)
{
    private const int ObjectCount = 60, BytesMin = 2_000, BytesMax = 900_000;

    /// <summary>A call that takes longer than this has hung.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    private readonly int[] _versions = new int[ObjectCount]; // 0: not there.
    private int _puts, _gets, _refused, _failed;
    private string _firstFailure = "";
    private double _slowestMs, _slowestResidentMs;

    /// <summary>Length of an object's bytes; <see cref="SeedOf"/> has their pattern.</summary>
    internal static int BytesOf(int i, int version) => BytesMin + (i * 7919 + version * 104_729) % (BytesMax - BytesMin);

    internal static int SeedOf(int i, int version) => i * 1000 + version;

    /// <summary>Runs for so long. Answers how many puts and gets there were, puts without memory and gets without the object's copy; the slowest call and the slowest get of what was in memory in ms; what is there, number and version of each; and the first failure.</summary>
    internal string Run(int milliseconds)
    {
        var random = new Random(seed);
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start).TotalMilliseconds < milliseconds)
        {
            int i = random.Next(ObjectCount);
            long call = Stopwatch.GetTimestamp();
            if (_versions[i] == 0)
                Put(i, 1);
            else if (random.Next(10) == 0)
                Replace(i);
            else
                Get(i);
            _slowestMs = Math.Max(_slowestMs, Stopwatch.GetElapsedTime(call).TotalMilliseconds);
        }
        string there = string.Join(',', Enumerable.Range(0, ObjectCount).Where(i => _versions[i] != 0).Select(i => string.Create(CultureInfo.InvariantCulture, $"{i}:{_versions[i]}")));
        return string.Create(CultureInfo.InvariantCulture, $"{_puts} {_gets} {_refused} {_failed} {_slowestMs:0} {_slowestResidentMs:0} {there} {_firstFailure}");
    }

    private ObjectId IdOf(int i) => ObjectId.FromName(string.Create(CultureInfo.InvariantCulture, $"{prefix}-{i}"));

    private void Put(int i, int version)
    {
        PlasmaStatus status = store.TryPut(IdOf(i), Pattern.Of(SeedOf(i, version), BytesOf(i, version)), new ObjectOptions { Timeout = s_patience });
        if (status == PlasmaStatus.StoreFull)
            _refused++;
        else if (status != PlasmaStatus.Ok)
            throw new InvalidOperationException($"The put of {prefix}-{i} was answered {status}.");
        else
            (_versions[i], _puts) = (version, _puts + 1);
    }

    private void Replace(int i)
    {
        PlasmaStatus status = store.Delete(IdOf(i));
        if (status != PlasmaStatus.Ok)
            throw new InvalidOperationException($"The delete of {prefix}-{i} was answered {status}.");
        int version = _versions[i] + 1;
        _versions[i] = 0;
        Put(i, version);
    }

    private void Get(int i)
    {
        _gets++;
        long call = Stopwatch.GetTimestamp();
        if (store.TryGet(IdOf(i), out PlasmaObject resident))
        {
            _slowestResidentMs = Math.Max(_slowestResidentMs, Stopwatch.GetElapsedTime(call).TotalMilliseconds);
            Check(i, resident);
            return;
        }
        try
        {
            Check(i, store.Get(IdOf(i), s_patience));
        }
        catch (PlasmaException e) when (e.Status == PlasmaStatus.NotResident)
        {
            if (!e.Message.Contains(IdOf(i).ToString(), StringComparison.Ordinal) || !e.Message.Contains(".spill", StringComparison.Ordinal))
                throw new InvalidOperationException($"This error names no object or no file: {e.Message}", e);
            if (_failed++ == 0)
                _firstFailure = e.Message;
        }
    }

    private void Check(int i, PlasmaObject obj)
    {
        using (obj)
        {
            if (!obj.Span.SequenceEqual(Pattern.Of(SeedOf(i, _versions[i]), BytesOf(i, _versions[i]))))
                throw new InvalidOperationException($"{prefix}-{i} has other bytes than version {_versions[i]}.");
        }
    }
}
