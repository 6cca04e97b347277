return FastPlasma.Cli.CliApp.RunProcess(args);
