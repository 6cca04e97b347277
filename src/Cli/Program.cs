using System.CommandLine;
using FastPlasma.Cli.Demo;

RootCommand root = new("Shared-memory object store.");
root.Subcommands.Add(DemoCommand.Create());
return await root.Parse(args).InvokeAsync();
