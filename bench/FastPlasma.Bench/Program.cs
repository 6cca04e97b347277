using BenchmarkDotNet.Running;

// Which benchmarks run is chosen on the command line, for example: --filter '*Copy*'.
BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
