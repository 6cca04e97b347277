using System.CommandLine;
using FastPlasma.Load.Commands;
using FastPlasma.Load.Peers.PlasmaLike;
using FastPlasma.Load.Policies;

RootCommand root = new("Load driver: FastPlasma, what people would use instead, and the ceiling, under the same load from several processes.")
{
    RunCommand.Create(),
    ListCommand.Create(),
    WorkerCommand.Create(),
    CheckCommand.Create(),
    PartCommand.Create(),
    PlasmaServer.CreateCommand(),
    EvictionCommand.Create(),
    EvictionCommand.CreateReader(),
};

// After Ctrl-C workers, stores and folders are removed before the process ends; a worker in the middle of a large object may need its moment.
return await root.Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromSeconds(20) });
