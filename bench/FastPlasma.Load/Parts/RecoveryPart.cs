using System.Diagnostics;
using System.Globalization;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Parts;

/// <summary>Holds pins and unsealed objects until it is killed. Arguments: folder of the store, pins, unsealed objects.</summary>
internal sealed class HolderPart : IPart
{
    internal const string PartName = "recovery-holder", Ready = "ready";

    /// <summary>Objects that it pins, in turns.</summary>
    internal const int ResidentCount = 1000, PayloadBytes = 1000;

    public string Name => PartName;

    public void Run(ParentPipe parent, string[] arguments)
    {
        PlasmaStore store = PlasmaStore.Open(FastPlasmaPeer.StoreName, new PlasmaOptions { Directory = arguments[0] });
        int pins = int.Parse(arguments[1], CultureInfo.InvariantCulture), unsealed = int.Parse(arguments[2], CultureInfo.InvariantCulture);
        for (int i = 0; i < pins; i++)
            if (!store.TryGet(Id(i % ResidentCount), out _)) // Never given back: that is what recovery is for.
                throw new InvalidOperationException($"Resident object {i % ResidentCount} is not there.");
        for (int i = 0; i < unsealed; i++)
            _ = store.Create(Id(ResidentCount + i), PayloadBytes);
        parent.Send(Ready);
        parent.Expect(ParentPipe.Exit); // It is killed first.
    }

    internal static ObjectId Id(int number)
    {
        Span<byte> key = stackalloc byte[Keys.SizeBytes];
        Keys.Write(key, (ulong)number);
        return new ObjectId(key);
    }
}

/// <summary>Times what is left to do when somebody has died. Argument: folder of the store.</summary>
/// <remarks>
/// The driver asks once the kernel has cleared the dead process away, so its token is free. Recovered by the store's own thread, which looks once a second: no figure, the driver tries again.
/// </remarks>
internal sealed class RecovererPart : IPart
{
    internal const string PartName = "recovery-recoverer", Time = "time";

    public string Name => PartName;

    public void Run(ParentPipe parent, string[] arguments)
    {
        using PlasmaStore store = PlasmaStore.Open(FastPlasmaPeer.StoreName, new PlasmaOptions { Directory = arguments[0] });
        byte[] payload = new byte[HolderPart.PayloadBytes];
        for (int i = 0; i < HolderPart.ResidentCount; i++)
            store.Put(HolderPart.Id(i), payload);
        parent.Send(HolderPart.Ready);
        while (parent.Receive() is not ParentPipe.Exit)
        {
            StoreStats before = store.Stats();
            long start = Stopwatch.GetTimestamp();
            int recovered = store.Maintain();
            long ticks = Stopwatch.GetTimestamp() - start;

            // The ceiling: the same call when there is nothing to recover.
            start = Stopwatch.GetTimestamp();
            int again = store.Maintain();
            long idleTicks = Stopwatch.GetTimestamp() - start;
            StoreStats after = store.Stats();
            bool isClean = again == 0 && after.CreatingCount == 0 && after.CondemnedCount == 0 && after.Participants.Sum(static one => one.Pins) == 0 && after.SealedCount == HolderPart.ResidentCount;
            if (!isClean)
                throw new InvalidOperationException($"After the recovery there are {after.CreatingCount} unsealed, {after.CondemnedCount} condemned and {after.SealedCount} sealed objects, and {after.Participants.Sum(static one => one.Pins)} pins.");
            parent.SendResult(new WorkResult { Figures = [recovered, ticks, idleTicks, before.CreatingCount, before.Participants.Sum(static one => one.Pins)] });
        }
    }
}
