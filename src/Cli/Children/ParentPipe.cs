using System.Collections.Concurrent;
using System.Text;

namespace FastPlasma.Cli.Children;

/// <summary>The child's end of the pipes to the process that started it.</summary>
/// <remarks>A thread of its own reads the input, so a child that is busy or asleep in the store still ends as soon as its parent has gone.</remarks>
internal sealed class ParentPipe : IDisposable
{
    /// <summary>The line after which the parent may close the pipe.</summary>
    internal const string Exit = "exit";

    /// <summary>Exit code of a child whose parent has gone.</summary>
    internal const int OrphanedExitCode = 3;

    private readonly BlockingCollection<string> _lines = [];
    private readonly StreamWriter _output = new(Console.OpenStandardOutput(), new UTF8Encoding(false)) { AutoFlush = true };
    private readonly Action _orphaned;

    /// <summary>Starts reading; <paramref name="orphaned"/> runs before the process ends because its parent has gone.</summary>
    internal ParentPipe(Action orphaned)
    {
        _orphaned = orphaned;
        new Thread(Read) { IsBackground = true, Name = "parent pipe" }.Start();
    }

    /// <summary>Sends one line to the parent.</summary>
    internal void Send(string line)
    {
        lock (_output)
            _output.WriteLine(line);
    }

    /// <summary>Waits for the parent's next line.</summary>
    internal string Receive() => _lines.Take();

    /// <summary>Waits for the parent's next line, which must be <paramref name="expected"/>.</summary>
    internal void Expect(string expected)
    {
        string line = Receive();
        if (line != expected)
            throw new InvalidOperationException($"The parent said '{line}' where '{expected}' was due.");
    }

    public void Dispose() => _output.Dispose();

    private void Read()
    {
        using StreamReader input = new(Console.OpenStandardInput(), new UTF8Encoding(false));
        while (true)
        {
            string? line = null;
            try
            {
                line = input.ReadLine();
            }
            catch (IOException)
            {
                // A broken pipe says the same as a closed one.
            }

            if (line is null)
                break;
            _lines.Add(line);
            if (line == Exit)
                return;
        }

        try
        {
            _orphaned();
        }
        finally
        {
            Environment.Exit(OrphanedExitCode);
        }
    }
}
