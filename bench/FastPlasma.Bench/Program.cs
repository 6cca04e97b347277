using BenchmarkDotNet.Running;
using FastPlasma.Bench;

// Which benchmarks run is chosen on the command line, for example: --filter '*Copy*'. "hot-calls" is for bench/clients.
if (args is ["hot-calls"])
    HotCalls.Run();
else
    BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
