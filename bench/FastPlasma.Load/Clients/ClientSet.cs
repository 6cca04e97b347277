using System.Globalization;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Parts;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Clients;

/// <summary>A process in each language, all on one store: one in .NET, one in C, one in Python, as far as they can run here.</summary>
internal sealed class ClientSet : IDisposable
{
    /// <summary>Names of the languages in cases.</summary>
    internal const string DotNet = ".NET", C = "C", Python = "Python";

    private const int HotBytes = 1 << 10, ObjectCountMax = 16_384, ObjectBytesMax = 128 << 20;
    private static readonly int[] s_exchangedBytes = [1, 4099, 1 << 20];

    private readonly List<IDisposable> _owned = [];
    private readonly List<Client> _all = [];

    /// <summary>Those that run, .NET first.</summary>
    internal IReadOnlyList<Client> All => _all;

    /// <summary>Starts them, lets each read what each other has put, and tells what cannot run here.</summary>
    /// <param name="context">The run.</param>
    /// <param name="results">Takes the remarks.</param>
    /// <param name="product">FastPlasma.</param>
    /// <param name="capacityBytes">Payload that the store must hold.</param>
    /// <param name="redis">Socket of a redis-server for the client in Python, or null.</param>
    internal static ClientSet Start(LoadContext context, ScenarioResult results, IPeer product, long capacityBytes, string? redis = null)
    {
        var clients = new ClientSet();
        try
        {
            string folder = context.Folder.CreateNext();
            var instance = new Instance(context, product, capacityBytes, ObjectCountMax, ObjectBytesMax);
            clients._owned.Add(instance);
            string directory = instance.Open.Address;
            clients.Add(DotNet, WorkerProcess.StartPart(context, ClientPart.PartName, directory));
            if (ClientTools.TryCompileC(folder, directory, context.Cancellation, out string reason) is { } program)
                clients.Add(C, WorkerProcess.StartProgram(context, "client in C", program));
            else
                results.AddRemark(C, $"cannot run here: {reason}");
            if (ClientTools.MissingPython is { } missing)
                results.AddRemark(Python, $"cannot run here: {missing}");
            else
                clients.Add(Python, WorkerProcess.StartProgram(context, "client in Python", ClientTools.StartPython(directory, folder, redis)));
            clients.Exchange();
            clients._all[0].Ask(ClientPart.Warm);
            return clients;
        }
        catch
        {
            clients.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        for (int i = _owned.Count - 1; i >= 0; i--) // The store last.
            _owned[i].Dispose();
        _owned.Clear();
    }

    private void Add(string name, WorkerProcess process)
    {
        _owned.Add(process);
        _all.Add(new Client(name, process));
    }

    /// <summary>The self-check: what one puts, all read.</summary>
    private void Exchange()
    {
        _all[0].Ask("give", HotBytes, 1, ClientPart.HotName);
        foreach (Client taker in _all)
            taker.Ask("take", HotBytes, 1, ClientPart.HotName);
        foreach (Client giver in _all)
            foreach (int bytes in s_exchangedBytes)
            {
                string name = string.Create(CultureInfo.InvariantCulture, $"{bytes}-from-{giver.Name}");
                giver.Ask("give", bytes, 1, name);
                foreach (Client taker in _all)
                    taker.Ask("take", bytes, 1, name);
            }
    }
}

/// <summary>One of them.</summary>
/// <param name="name">Its language.</param>
/// <param name="process">Its process.</param>
internal sealed class Client(string name, WorkerProcess process)
{
    internal string Name => name;

    /// <summary>Asks for calls and waits for their time.</summary>
    internal WorkResult Ask(string what, long bytes = 0, int operations = 1, params ReadOnlySpan<string> rest)
    {
        process.Say(string.Join(' ', [what, bytes.ToString(CultureInfo.InvariantCulture), operations.ToString(CultureInfo.InvariantCulture), .. rest]));
        return process.PartResult();
    }
}
