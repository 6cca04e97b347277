using FastPlasma;
using FastPlasma.Examples.Copies;
using Spectre.Console;

const string help = """
    Usage: FastPlasma.Examples.Copies [--help]

    How many copies does a get take? Puts bytes, tensors, Arrow batches and records into a store of its own and prints what the store
    counted; shows where two processes see the same object; lets two processes compute on one object at the same time.
    The exit code is 0 when no get copied, both processes saw the same bytes of the file, and both computed the same.
    """;

switch (args)
{
    case []:
        break;
    case [Child.Look, var store, var id]:
        return Child.RunLook(store, id);
    case [Child.Compute, var store, var id]:
        return Child.RunCompute(store, id);
    case ["--help" or "-h" or "-?"]:
        Console.WriteLine(help);
        return 0;
    default:
        Console.Error.WriteLine($"'{string.Join(' ', args)}' is not understood.\n\n{help}");
        return 2;
}

if (Console.IsOutputRedirected)
    AnsiConsole.Profile.Width = 140; // In a file nothing needs to fit into a window.
string name = $"copies-{Environment.ProcessId}";
Console.CancelKeyPress += (_, _) => PlasmaStore.Destroy(name); // The process ends then.
using PlasmaStore shared = PlasmaStore.Create(name, new PlasmaOptions { CapacityBytes = 128 << 20 });
try
{
    bool ok = new CopyCounts(shared).Show();
    ok &= Addresses.Show(shared, name);
    ok &= Together.Show(shared, name);
    return ok ? 0 : 1;
}
finally
{
    PlasmaStore.Destroy(name);
}
