using System.Diagnostics;
using System.IO.Compression;
using System.Text;
using System.Xml.Linq;

namespace FastPlasma.Tests.Data;

/// <summary>The packages, as somebody gets them who has nothing else.</summary>
public sealed class PackageTests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    /// <summary>Inside the repository: sources that lie in it have the same names in every build, wherever it is.</summary>
    private readonly string _folder = Path.Combine(Repository.Folder, "artifacts", "package-test");

    public PackageTests() => Dispose();

    [Fact]
    public void Packages_are_complete_restore_run_and_are_built_the_same_twice()
    {
        string packages = Path.Combine(_folder, "artifacts", "packages"), build = Path.Combine(_folder, "build");
        string[] common = ["-nologo", "-v:q", "-maxcpucount:1", "-nodeReuse:false", "-p:Configuration=Release", "-p:ContinuousIntegrationBuild=true", "-p:RunAnalyzers=false", $"-p:ArtifactsPath={build}"];
        Dotnet(Repository.Folder, ["msbuild", "eng/packages.proj", "-restore", "-t:Pack", "-p:WithTool=false", $"-p:PackageOutputPath={packages}", .. common]);

        // Complete.
        string[] ids = ["FastPlasma", "FastPlasma.Allocator", "FastPlasma.Data", "FastPlasma.Native", "FastPlasma.Transfer"];
        Assert.Equal(ids.Select(static id => $"{id}.0.1.0").Order(StringComparer.Ordinal), Directory.GetFiles(packages, "*.nupkg").Select(Path.GetFileNameWithoutExtension).Order(StringComparer.Ordinal));
        foreach (string id in ids)
        {
            string assembly = id == "FastPlasma" ? "FastPlasma.Store" : id;
            using ZipArchive package = ZipFile.OpenRead(Path.Combine(packages, $"{id}.0.1.0.nupkg")), symbols = ZipFile.OpenRead(Path.Combine(packages, $"{id}.0.1.0.snupkg"));
            Assert.NotNull(package.GetEntry("README.md"));
            Assert.NotNull(package.GetEntry($"lib/net10.0/{assembly}.dll"));
            Assert.NotNull(package.GetEntry($"lib/net10.0/{assembly}.xml"));
            Assert.NotNull(symbols.GetEntry($"lib/net10.0/{assembly}.pdb"));
            using Stream nuspec = package.GetEntry($"{id}.nuspec")!.Open();
            XElement metadata = XDocument.Load(nuspec).Root!.Elements().First();
            string Value(string name) => metadata.Elements().Single(e => e.Name.LocalName == name).Value;
            Assert.Equal(("Apache-2.0", "README.md"), (Value("license"), Value("readme")));
            Assert.NotEqual("Package Description", Value("description"));
            Assert.Contains("shared-memory", Value("tags"), StringComparison.Ordinal);
        }

        // Restored and run by somebody else.
        string consumer = Path.Combine(_folder, "tests", "PackageConsumer");
        Directory.CreateDirectory(consumer);
        foreach (string file in Directory.EnumerateFiles(Path.Combine(Repository.Folder, "tests", "PackageConsumer")))
            File.Copy(file, Path.Combine(consumer, Path.GetFileName(file)));
        string known = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        string[] fallback = Directory.Exists(known) ? [$"-p:RestoreFallbackFolders={known}"] : []; // What others made need not be fetched again.
        Dotnet(consumer, ["build", "-nologo", "-v:q", "-maxcpucount:1", "-nodeReuse:false", "-c", "Release", .. fallback]);
        Assert.Equal("bytes: 1 2 3\ntensor: 2x3, sum 9\narrow: 3 rows, sum 42\ncopied at get: 0\n", Dotnet(consumer, [Path.Combine("bin", "Release", "net10.0", "PackageConsumer.dll")]));

        // The same again.
        Dotnet(Repository.Folder, ["msbuild", "src/Data/FastPlasma.Data.csproj", "-t:Rebuild", .. common]);
        foreach (string id in ids)
        {
            string assembly = id == "FastPlasma" ? "FastPlasma.Store" : id;
            using ZipArchive package = ZipFile.OpenRead(Path.Combine(packages, $"{id}.0.1.0.nupkg"));
            using Stream packed = package.GetEntry($"lib/net10.0/{assembly}.dll")!.Open();
            var first = new MemoryStream();
            packed.CopyTo(first);
            string rebuilt = Path.Combine(build, "bin", assembly, "release", $"{assembly}.dll");
            Assert.True(File.ReadAllBytes(rebuilt).AsSpan().SequenceEqual(first.ToArray()), $"{rebuilt} differs from the one in {id}.");
            Assert.DoesNotContain(Repository.Folder, Encoding.UTF8.GetString(first.ToArray()), StringComparison.Ordinal);
        }
    }

    public void Dispose()
    {
        if (Directory.Exists(_folder))
            Directory.Delete(_folder, recursive: true);
    }

    private static string Dotnet(string folder, string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet") { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        start.Environment["DOTNET_NOLOGO"] = "1";
        start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        start.Environment.Remove("MSBuildSDKsPath"); // Of an outer build, which may be another SDK's.
        using Process process = Process.Start(start) ?? throw new InvalidOperationException("dotnet did not start.");
        process.PriorityClass = ProcessPriorityClass.BelowNormal; // Compilers beside tests that watch deadlines.
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(s_patience))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"dotnet {string.Join(' ', arguments)} did not end within {s_patience.TotalMinutes} minutes.");
        }
        string text = output.GetAwaiter().GetResult();
        Assert.True(process.ExitCode == 0, $"dotnet {string.Join(' ', arguments)}:\n{text}{errors.GetAwaiter().GetResult()}");
        return text.ReplaceLineEndings("\n");
    }
}
