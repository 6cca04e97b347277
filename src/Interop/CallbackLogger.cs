using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Interop;

/// <summary>Hands log lines of a store to a C function, one at a time.</summary>
internal sealed unsafe class CallbackLogger(delegate* unmanaged<void*, int, byte*, void> callback, void* context) : ILogger
{
    private readonly Lock _lock = new();
    private bool _stopped;

    /// <summary>When this returns the function is not running, unless on this thread, and is never called again.</summary>
    internal void Stop()
    {
        lock (_lock)
            _stopped = true;
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel is >= LogLevel.Debug and <= LogLevel.Critical;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (!IsEnabled(logLevel))
            return;
        string text = exception is null ? formatter(state, exception) : $"{formatter(state, exception)} {exception.Message}";
        nint utf8 = Marshal.StringToCoTaskMemUTF8(text);
        try
        {
            lock (_lock)
            {
                if (!_stopped)
                    callback(context, Math.Min((int)logLevel, (int)LogLevel.Error), (byte*)utf8);
            }
        }
        finally
        {
            Marshal.FreeCoTaskMem(utf8);
        }
    }
}
