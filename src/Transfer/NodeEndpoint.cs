using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace FastPlasma.Transfer;

/// <summary>Where a node listens: a host name or address, and a TCP port.</summary>
/// <param name="Host">Name, IPv4 address, or IPv6 address without brackets.</param>
/// <param name="Port">1 to 65535; 0 lets the system choose when listening.</param>
public readonly record struct NodeEndpoint(string Host, int Port)
{
    /// <summary>Port of a node that is told none.</summary>
    public const int DefaultPort = 7430;

    /// <summary>Whether only processes of this machine can reach it.</summary>
    public bool IsLoopback => Host == "localhost" || (IPAddress.TryParse(Host, out IPAddress? address) && IPAddress.IsLoopback(address));

    /// <summary>Reads "host", "host:port", "[ipv6]" or "[ipv6]:port".</summary>
    /// <exception cref="FormatException">It is none of these.</exception>
    public static NodeEndpoint Parse(string text) =>
        TryParse(text, out NodeEndpoint endpoint) ? endpoint : throw new FormatException($"'{text}' is no address of a node: host, host:port or [ipv6]:port, with a port from 0 to 65535.");

    /// <summary>As <see cref="Parse"/>.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out NodeEndpoint endpoint)
    {
        endpoint = default;
        if (string.IsNullOrWhiteSpace(text))
            return false;
        string host = text, portText = "";
        if (text[0] == '[')
        {
            int end = text.IndexOf(']', StringComparison.Ordinal);
            if (end < 0 || (end + 1 < text.Length && text[end + 1] != ':'))
                return false;
            host = text[1..end];
            portText = end + 2 <= text.Length ? text[(end + 2)..] : "";
            if (!IPAddress.TryParse(host, out _))
                return false;
        }
        else if (text.Count(static c => c == ':') == 1)
        {
            int colon = text.IndexOf(':', StringComparison.Ordinal);
            (host, portText) = (text[..colon], text[(colon + 1)..]);
            if (portText.Length == 0)
                return false;
        }
        else if (text.Contains(':', StringComparison.Ordinal) && !IPAddress.TryParse(text, out _))
        {
            return false;
        }
        int port = DefaultPort;
        if (portText.Length > 0 && (!int.TryParse(portText, NumberStyles.None, CultureInfo.InvariantCulture, out port) || port > ushort.MaxValue))
            return false;
        if (host.Length == 0 || host.Any(static c => char.IsWhiteSpace(c) || c is '/' or '@'))
            return false;
        endpoint = new NodeEndpoint(host, port);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
