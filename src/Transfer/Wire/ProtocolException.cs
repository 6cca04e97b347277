using System.Diagnostics.CodeAnalysis;

namespace FastPlasma.Transfer.Wire;

/// <summary>The other side does not keep to the protocol, or refuses; the connection ends.</summary>
[SuppressMessage("Design", "CA1032", Justification = "Always made with a message.")]
[SuppressMessage("Design", "CA1064", Justification = "Never leaves the assembly.")]
internal sealed class ProtocolException(string message, bool isRefusal = false) : IOException(message)
{
    /// <summary>The other side said so; else this side found it.</summary>
    internal bool IsRefusal { get; } = isRefusal;
}
