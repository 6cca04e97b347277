using System.CommandLine;
using FastPlasma.Cli.Bench;
using FastPlasma.Cli.Demo;

RootCommand root = new("Shared-memory object store.");
root.Subcommands.Add(DemoCommand.Create());
root.Subcommands.Add(BenchCommand.Create());
return await root.Parse(args).InvokeAsync();
