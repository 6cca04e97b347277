using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace FastPlasma.Interop;

/// <summary>What the last failed call of each thread has to say, and which status an exception becomes.</summary>
internal static unsafe class Errors
{
    [ThreadStatic]
    private static Last? t_last;

    private sealed class Last
    {
        internal Status Status;

        /// <summary>UTF-8 with NUL, in an array that does not move; null for the status's own text.</summary>
        internal byte[]? Text;

        internal StoreFullReport? Report;

        /// <summary>The report's reservation error, as Text.</summary>
        internal byte[]? ReservationError;
    }

    private static Last Mine => t_last ??= new Last();

    /// <summary>Remembers a failure with the text of its status, which costs two stores.</summary>
    internal static int Fail(Status status)
    {
        Last last = Mine;
        last.Status = status;
        last.Text = null;
        return (int)status;
    }

    /// <summary>Remembers a failure.</summary>
    internal static int Fail(Status status, string message)
    {
        Last last = Mine;
        last.Status = status;
        last.Text = Pinned(message);
        return (int)status;
    }

    /// <summary>A status of the store: nothing is remembered for Ok.</summary>
    internal static int Report(PlasmaStatus status) => status == PlasmaStatus.Ok ? 0 : Fail((Status)status);

    /// <summary>Remembers why a create found no memory.</summary>
    internal static void Remember(StoreFullReport report)
    {
        Last last = Mine;
        last.ReservationError = report.ReservationError is { } text ? Pinned(text) : null;
        last.Report = report;
    }

    /// <summary>The numbers of this thread's last full store, or null.</summary>
    internal static StoreFullReport? LastReport => t_last?.Report;

    /// <summary>Its reservation error as C text, or null.</summary>
    internal static byte* LastReservationError => t_last?.ReservationError is { } text ? Address(text) : null;

    /// <summary>Remembers an exception as a failure.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static int From(Exception e, PlasmaStore? store = null)
    {
        try
        {
            if (e is StoreFullException full)
                Remember(full.Report);
            Status status = StatusOf(e, store);
            return Fail(status, status == Status.Internal ? Bug(e) : TextOf(e));
        }
        catch (OutOfMemoryException)
        {
            return (int)Status.NoMemory; // No memory even for the message.
        }
    }

    /// <summary>One line: which failure that nobody foresaw, and where. Its cause if it was wrapped, for a wrapper says nothing.</summary>
    private static string Bug(Exception e)
    {
        Exception cause = e.GetBaseException();
        string frame = cause.StackTrace is { } trace ? ' ' + trace.AsSpan().TrimStart().ToString().Split('\n')[0].TrimEnd() : "";
        return $"A bug of FastPlasma: {cause.GetType().Name}: {cause.Message.ReplaceLineEndings(" ")}{frame}";
    }

    /// <summary>The message without what .NET adds to it: names of parameters and classes that C callers do not see.</summary>
    private static string TextOf(Exception e)
    {
        string text = e.Message;
        int added = e switch
        {
            ObjectDisposedException => text.IndexOf('\n', StringComparison.Ordinal),
            ArgumentException { ParamName: not null } => text.LastIndexOf(" (Parameter '", StringComparison.Ordinal),
            _ => -1,
        };
        return added < 0 ? text : text[..added].TrimEnd();
    }

    /// <summary>Which status an exception of the store becomes.</summary>
    internal static Status StatusOf(Exception e, PlasmaStore? store) => e switch
    {
        _ when store is { IsForked: true } => Status.Forked,
        PlasmaException plasma => (Status)plasma.Status,
        PlasmaFormatException => Status.BadFormat,
        ObjectDisposedException => Status.Closed,
        OperationCanceledException => Status.Cancelled,
        TimeoutException => Status.Timeout,
        OutOfMemoryException => Status.NoMemory,
        ArgumentException => Status.InvalidArgument,
        FileNotFoundException => Status.NoStore,
        UnauthorizedAccessException => Status.AccessDenied,
        IOException => Status.IoError,
        InvalidOperationException => store is { Access: StoreAccess.ReadOnly } ? Status.AccessDenied : Status.InvalidArgument,
        PlatformNotSupportedException or NotSupportedException => Status.IoError,
        _ => Status.Internal,
    };

    /// <summary>The message of this thread's last failure.</summary>
    internal static byte* LastText
    {
        get
        {
            Last? last = t_last;
            // SAFETY: literals lie in the image and end with NUL.
            return last?.Text is { } text
                ? Address(text)
                : (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(StatusText.MessageOf(last?.Status ?? Status.Ok)));
        }
    }

    // SAFETY: the array is on the pinned heap, and this thread's object keeps it until the next failure.
    private static byte* Address(byte[] pinned) => (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(pinned));

    private static byte[] Pinned(string message)
    {
        byte[] text = GC.AllocateUninitializedArray<byte>(Encoding.UTF8.GetByteCount(message) + 1, pinned: true);
        text[Encoding.UTF8.GetBytes(message, text)] = 0;
        return text;
    }
}
