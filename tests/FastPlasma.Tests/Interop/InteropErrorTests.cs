using System.Runtime.InteropServices;
using FastPlasma.Interop;

namespace FastPlasma.Tests.Interop;

/// <summary>What an exception becomes for a C program. No call of the header is known to end with FP_INTERNAL, so its conversion is tested here, and the rest beside it.</summary>
public sealed class InteropErrorTests
{
    [Fact]
    public void Bug_is_one_line_with_the_kind_of_failure_and_the_place()
    {
        Assert.Equal((int)Status.Internal, Errors.From(Thrown(static () => throw new InvalidCastException("first\nsecond"))));
        string text = LastText();
        Assert.StartsWith("A bug of FastPlasma: InvalidCastException: first second at FastPlasma.Tests.Interop.InteropErrorTests", text, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', text);
    }

    [Fact]
    public void Bug_behind_a_wrapper_is_told_by_its_cause()
    {
        Errors.From(new TypeInitializationException("FastPlasma.Something", new KeyNotFoundException("the cause")));
        Assert.Equal("A bug of FastPlasma: KeyNotFoundException: the cause", LastText());
    }

    public static TheoryData<Exception, int, string> Exceptions => new()
    {
        { new PlasmaException(PlasmaStatus.NotOwner, "whose"), (int)Status.NotOwner, "whose" },
        { new PlasmaFormatException("broken"), (int)Status.BadFormat, "broken" },
        { new ObjectDisposedException("Name", "closed"), (int)Status.Closed, "closed" },
        { new OperationCanceledException("ended"), (int)Status.Cancelled, "ended" },
        { new TimeoutException("late"), (int)Status.Timeout, "late" },
        { new InsufficientMemoryException("none"), (int)Status.NoMemory, "none" },
        { new ArgumentOutOfRangeException("count", "too many"), (int)Status.InvalidArgument, "too many" },
        { new FileNotFoundException("no store"), (int)Status.NoStore, "no store" },
        { new UnauthorizedAccessException("not you"), (int)Status.AccessDenied, "not you" },
        { new IOException("no space"), (int)Status.IoError, "no space" },
        { new InvalidOperationException("not now"), (int)Status.InvalidArgument, "not now" },
        { new PlatformNotSupportedException("not here"), (int)Status.IoError, "not here" },
    };

    [Theory]
    [MemberData(nameof(Exceptions), DisableDiscoveryEnumeration = true)]
    public void Exception_becomes_its_status_and_its_own_words(Exception exception, int status, string text)
    {
        Assert.Equal(status, Errors.From(exception));
        Assert.Equal(text, LastText());
    }

    private static Exception Thrown(Action body)
    {
        try
        {
            body();
        }
        catch (Exception e)
        {
            return e;
        }
        throw new InvalidOperationException("Nothing was thrown.");
    }

    private static unsafe string LastText() => Marshal.PtrToStringUTF8((nint)Errors.LastText)!;
}
