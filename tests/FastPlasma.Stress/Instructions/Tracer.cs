using System.Globalization;
using System.Runtime.InteropServices;

namespace FastPlasma.Stress.Instructions;

/// <summary>Leads one victim through its operation with ptrace: sees which instructions it reaches, counts them, and kills it at one of them.</summary>
/// <remarks>
/// All calls come from the thread that started the victim, as ptrace demands. Threads that the victim had before stand still during the operation: its background thread would make every run
/// another. Threads that the operation starts run. Source: ptrace(2), "Attaching and detaching", "Stopped states".
/// </remarks>
internal sealed unsafe class Tracer : IDisposable
{
    private const byte Int3 = 0xCC;

    private readonly VictimProcess _victim;
    private readonly VictimCode _code;
    private readonly int _memory;
    private readonly long _base;

    internal Tracer(VictimProcess victim, VictimCode code)
    {
        (_victim, _code) = (victim, code);
        Seize();
        _base = LoadBase();
        _memory = Sys.open($"/proc/{victim.Id}/mem", Sys.O_RDWR | Sys.O_CLOEXEC);
        if (_memory < 0)
            throw Sys.Error($"open /proc/{victim.Id}/mem");
    }

    /// <summary>Runs the whole operation with a breakpoint on every instruction of ours that goes away with its first hit: the instructions that it reaches.</summary>
    internal List<long> Discover()
    {
        (byte[] original, byte[] trapped) = Images();
        Write(_code.First, trapped);
        var reached = new HashSet<long>();
        Go();
        while (NextTrap(out int task))
        {
            if (TryRewind(task, trapped, out long address) && reached.Add(address))
                Write(address, [original[address - _code.First]]);
            Resume(task, Sys.PTRACE_CONT, 0);
        }
        return [.. reached];
    }

    /// <summary>Single-steps the operation's thread through our code, and lets it run in that of others until it comes back: how often each instruction of ours is passed.</summary>
    internal Dictionary<long, int> Count(long stepsMax, out long steps)
    {
        var counts = new Dictionary<long, int>();
        Step(stepsMax, counts, deathAt: -1);
        steps = counts.Values.Sum(static count => (long)count);
        return counts;
    }

    /// <summary>Steps as <see cref="Count"/> does and kills before the first pass of an instruction: an operation that is so slow meets others on ways that it takes hardly ever at its own speed. False when it ends before.</summary>
    internal bool KillStepping(long address, long stepsMax) => Step(stepsMax, [], address);

    private bool Step(long stepsMax, Dictionary<long, int> counts, long deathAt)
    {
        (byte[] original, byte[] trapped) = Images();
        Write(_code.First, trapped);
        bool isTrapped = true;
        long steps = 0;
        Go();
        while (NextTrap(out int task))
        {
            if (isTrapped && TryRewind(task, trapped, out long address))
            {
                Write(_code.First, original);
                isTrapped = false;
            }
            else
            {
                address = (long)ReadRegisters(task).Rip - _base;
            }
            if (task != _victim.Id)
            {
                Resume(task, Sys.PTRACE_CONT, 0);
                continue;
            }
            if (address == deathAt)
                return Kill();
            if (address >= _code.First && address < _code.End && trapped[address - _code.First] == Int3)
            {
                CollectionsMarshal.GetValueRefOrAddDefault(counts, address, out _)++;
                Resume(task, ++steps < stepsMax ? Sys.PTRACE_SINGLESTEP : Sys.PTRACE_CONT, 0);
                continue;
            }
            Write(_code.First, trapped);
            isTrapped = true;
            Resume(task, Sys.PTRACE_CONT, 0);
        }
        return false;
    }

    /// <summary>Our code as it is, and with breakpoints on all of its instructions.</summary>
    private (byte[] Original, byte[] Trapped) Images()
    {
        byte[] original = new byte[_code.End - _code.First];
        Read(_code.First, original);
        byte[] trapped = [.. original];
        foreach (long address in _code.Instructions)
            trapped[address - _code.First] = Int3;
        return (original, trapped);
    }

    /// <summary>Whether the task stands behind one of the breakpoints; it then goes back onto it.</summary>
    private bool TryRewind(int task, byte[] trapped, out long address)
    {
        Sys.Registers registers = ReadRegisters(task);
        address = (long)registers.Rip - 1 - _base;
        if (address < _code.First || address >= _code.End || trapped[address - _code.First] != Int3)
            return false;
        registers.Rip--;
        WriteRegisters(task, registers);
        return true;
    }

    /// <summary>Kills the victim before it executes the instruction for the <paramref name="hit"/>th time. False when it ended after fewer <paramref name="hits"/>.</summary>
    internal bool KillAt(long address, int hit, out int hits)
    {
        hits = 0;
        byte[] original = new byte[1];
        Read(address, original);
        Write(address, [Int3]);
        Go();
        int stepping = 0;
        while (NextTrap(out int task))
        {
            Sys.Registers registers = ReadRegisters(task);
            if (task == stepping)
            {
                // The instruction under the breakpoint is done: the breakpoint comes back.
                stepping = 0;
                Write(address, [Int3]);
            }
            else if ((long)registers.Rip - 1 - _base == address)
            {
                registers.Rip--;
                WriteRegisters(task, registers);
                if (++hits == hit)
                    return Kill();
                Write(address, original);
                stepping = task;
                Resume(task, Sys.PTRACE_SINGLESTEP, 0);
                continue;
            }
            Resume(task, Sys.PTRACE_CONT, 0);
        }
        return false;
    }

    /// <summary>Kills the victim after so many steps of its operation's thread, wherever that is: also in the runtime, in libc, before and after system calls.</summary>
    internal bool KillAfter(long steps)
    {
        Go(Sys.PTRACE_SINGLESTEP);
        for (long step = 0; NextTrap(out int task);)
        {
            if (task == _victim.Id && ++step == steps)
                return Kill();
            Resume(task, task == _victim.Id ? Sys.PTRACE_SINGLESTEP : Sys.PTRACE_CONT, 0);
        }
        return false;
    }

    public void Dispose() => _ = Sys.close(_memory);

    private bool Kill()
    {
        _victim.Signal();
        _victim.Reap();
        return true;
    }

    private void Go(int how = Sys.PTRACE_CONT)
    {
        _victim.Go();
        Resume(_victim.Id, how, 0);
    }

    private void Seize()
    {
        var seized = new HashSet<int>();
        bool more = true;
        while (more) // Ends: a round that meets no new task; the operation has not begun, and the victim starts no others while it waits.
        {
            more = false;
            foreach (string folder in Directory.GetDirectories($"/proc/{_victim.Id}/task"))
            {
                int task = int.Parse(Path.GetFileName(folder.AsSpan()), CultureInfo.InvariantCulture);
                if (!seized.Add(task))
                    continue;
                more = true;
                if (Sys.ptrace(Sys.PTRACE_SEIZE, task, 0, Sys.PTRACE_O_TRACECLONE | Sys.PTRACE_O_EXITKILL) != 0)
                {
                    if (Marshal.GetLastPInvokeError() == Sys.ESRCH)
                        continue; // A thread of the start that has just ended.
                    throw Sys.Error($"ptrace(PTRACE_SEIZE, {task})");
                }
                int status;
                if (Sys.ptrace(Sys.PTRACE_INTERRUPT, task, 0, 0) != 0 || Sys.waitpid(task, &status, Sys.WALL) != task)
                    throw Sys.Error($"ptrace(PTRACE_INTERRUPT, {task})");
            }
        }
    }

    /// <summary>Waits for a trap that no event explains; false when the victim is gone. Everything else is passed on.</summary>
    private bool NextTrap(out int task)
    {
        while (true) // Ends with a trap or the victim; a victim that hangs is killed by the watchdog of the attack.
        {
            int status;
            task = Sys.waitpid(-1, &status, Sys.WALL | Sys.WNOTHREAD);
            if (task < 0)
            {
                if (Marshal.GetLastPInvokeError() == Sys.EINTR)
                    continue;
                throw Sys.Error("waitpid");
            }
            if ((status & 0xff) != 0x7f)
            {
                if (task != _victim.Id)
                    continue;
                _victim.WaitStatus = status;
                return false;
            }
            int signal = (status >> 8) & 0xff, happening = status >> 16;
            if (happening == 0 && signal == Sys.SIGTRAP)
                return true;
            Resume(task, _stepping && task == _victim.Id ? Sys.PTRACE_SINGLESTEP : Sys.PTRACE_CONT, happening == 0 ? signal : 0);
        }
    }

    private bool _stepping;

    private void Resume(int task, int how, int signal)
    {
        if (task == _victim.Id)
            _stepping = how == Sys.PTRACE_SINGLESTEP;
        if (Sys.ptrace(how, task, 0, signal) != 0 && Marshal.GetLastPInvokeError() != Sys.ESRCH) // Killed meanwhile: the next wait says so.
            throw Sys.Error($"ptrace({how}, {task})");
    }

    private static Sys.Registers ReadRegisters(int task)
    {
        Sys.Registers registers;
        if (Sys.ptrace(Sys.PTRACE_GETREGS, task, 0, (nint)(&registers)) != 0 && Marshal.GetLastPInvokeError() != Sys.ESRCH)
            throw Sys.Error("ptrace(PTRACE_GETREGS)");
        return registers;
    }

    private static void WriteRegisters(int task, Sys.Registers registers)
    {
        if (Sys.ptrace(Sys.PTRACE_SETREGS, task, 0, (nint)(&registers)) != 0 && Marshal.GetLastPInvokeError() != Sys.ESRCH)
            throw Sys.Error("ptrace(PTRACE_SETREGS)");
    }

    private void Read(long address, Span<byte> bytes)
    {
        fixed (byte* p = bytes)
            if (Sys.pread(_memory, p, bytes.Length, _base + address) != bytes.Length)
                throw Sys.Error("pread of the victim's code");
    }

    private void Write(long address, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* p = bytes)
            if (Sys.pwrite(_memory, p, bytes.Length, _base + address) != bytes.Length)
                throw Sys.Error("pwrite of the victim's code");
    }

    private long LoadBase()
    {
        foreach (string line in File.ReadLines($"/proc/{_victim.Id}/maps"))
            if (line.EndsWith(_code.Executable, StringComparison.Ordinal))
                return long.Parse(line.AsSpan(0, line.IndexOf('-', StringComparison.Ordinal)), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        throw new InvalidOperationException($"{_code.Executable} is not mapped in victim {_victim.Id}.");
    }
}
