using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace FastPlasma.Tests;

/// <summary>The executable itself: streams, pipes, signals.</summary>
public sealed partial class CliProcessTests : IDisposable
{
    private readonly ScratchStore _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void Stdin_becomes_an_object_and_an_object_stdout()
    {
        byte[] content = new byte[3_000_000];
        new Random(5).NextBytes(content);
        (int exitCode, string output, string error) = CliProcess.Run(content, "put", "-", "--name", "piped", "--json", "-s", _scratch.Name);
        Assert.True(exitCode == 0, error);
        Assert.Contains("\"copiedBytes\": 3000000", output, StringComparison.Ordinal);
        Assert.True(_scratch.Store.TryGet(ObjectId.FromName("piped"), out PlasmaObject found));
        using (found)
            Assert.True(found.GetSpan(0, content.Length).SequenceEqual(content));
        (exitCode, output, _) = CliProcess.Shell($"\"$FP\" get piped -s {_scratch.Name} | sha256sum");
        Assert.Equal(0, exitCode);
        Assert.StartsWith(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(content)), output, StringComparison.Ordinal);
    }

    [Fact]
    public void Stdin_without_a_name_gets_a_random_id_and_a_redirected_file_is_not_copied()
    {
        (int exitCode, string output, string error) = CliProcess.Run(Encoding.UTF8.GetBytes("abc"), "put", "-", "-s", _scratch.Name);
        Assert.True(exitCode == 0, error);
        Assert.True(_scratch.Store.TryGet(ObjectId.Parse(output[..56]), out PlasmaObject found));
        found.Dispose();
        using var files = new ScratchDirectory();
        string file = files.File("redirected", new byte[100_000]);
        (exitCode, output, error) = CliProcess.Shell($"\"$FP\" put - --json -s {_scratch.Name} < {file}");
        Assert.True(exitCode == 0, error);
        Assert.Contains("\"copiedBytes\": 0,", output, StringComparison.Ordinal);
        Assert.Equal(2, _scratch.Store.Stats().SealedCount);
        Assert.Equal(2, CliProcess.Run(null, "put", "-", "-", "-s", _scratch.Name).ExitCode);
    }

    [Fact]
    public void A_reader_of_stdout_that_ends_first_is_no_error()
    {
        for (int i = 0; i < 2000; i++)
            _scratch.Store.Put(ObjectId.FromName($"object {i}"), [1]);
        _scratch.Store.Put(ObjectId.FromName("big"), new byte[4 << 20]);
        foreach (string command in (string[])["ls", "ls --json", "cat big", "top --interval 10ms"])
        {
            (int exitCode, string output, string error) = CliProcess.Shell($"\"$FP\" {command} -s {_scratch.Name} | head -c 1 | wc -c; echo ${{PIPESTATUS[0]}}");
            Assert.Equal((0, "1\n0", ""), (exitCode, output.TrimEnd(), error));
        }
    }

    [Fact]
    public void Stdout_that_takes_nothing_is_an_error()
    {
        _scratch.Store.Put(ObjectId.FromName("big"), new byte[1 << 20]);
        (int exitCode, _, string error) = CliProcess.Shell($"\"$FP\" get big -s {_scratch.Name} > /dev/full");
        Assert.Equal(5, exitCode);
        Assert.Contains("cannot write 'stdout'", error, StringComparison.Ordinal);
        (exitCode, _, error) = CliProcess.Shell($"\"$FP\" ls -s {_scratch.Name} > /dev/full");
        Assert.Equal(5, exitCode);
        Assert.Contains("stdout", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, 130)]
    [InlineData(15, 143)]
    public void Signals_end_a_waiting_command_with_its_code_and_leave_no_participant(int signal, int expected)
    {
        using Process process = CliProcess.Start("wait", "never", "--timeout", "60s", "-s", _scratch.Name);
        try
        {
            Poll.Until(() => _scratch.Store.Stats().Participants.Count == 2, TimeSpan.FromSeconds(20), "the command attaches");
            Assert.Equal(0, kill(process.Id, signal));
            Assert.True(process.WaitForExit(TimeSpan.FromSeconds(20)), "the command did not end");
            Assert.Equal(expected, process.ExitCode);
            Assert.Single(_scratch.Store.Stats().Participants);
        }
        finally
        {
            CliProcess.End(process);
        }
    }

    [Fact]
    public void A_wait_in_another_process_ends_with_the_seal()
    {
        using Process process = CliProcess.Start("wait", "late", "--timeout", "60s", "-s", _scratch.Name);
        try
        {
            Poll.Until(() => _scratch.Store.Stats().Participants.Count == 2, TimeSpan.FromSeconds(20), "the command attaches");
            _scratch.Store.Put(ObjectId.FromName("late"), [1, 2, 3]);
            Assert.True(process.WaitForExit(TimeSpan.FromSeconds(20)), "the command did not end");
            Assert.Equal((0, "sealed   late"), (process.ExitCode, process.StandardOutput.ReadToEnd().TrimEnd()));
        }
        finally
        {
            CliProcess.End(process);
        }
    }

    [Fact]
    public void The_store_of_the_environment_is_the_default()
    {
        _scratch.Store.Put(ObjectId.FromName("x"), [65, 66]);
        (int exitCode, string output, string error) = CliProcess.Shell($"FASTPLASMA_STORE={_scratch.Name} \"$FP\" cat x");
        Assert.Equal((0, "AB", ""), (exitCode, output, error));
    }

    [LibraryImport("libc")]
    private static partial int kill(int process, int signal);
}
