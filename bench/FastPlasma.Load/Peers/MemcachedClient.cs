using System.Buffers.Text;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace FastPlasma.Load.Peers;

/// <summary>One blocking connection to memcached that speaks its meta text protocol; keys go as base64, which the server takes as binary keys.</summary>
/// <remarks>Source: doc/protocol.txt of memcached 1.6, section "Meta Commands". There is no maintained package with unix sockets in the feed.</remarks>
internal sealed class MemcachedClient : IBatchClient
{
    /// <summary>Requests that are sent before the first answer is read: few enough that the socket takes them all while the server waits for its answers to be read.</summary>
    private const int WindowKeys = 64;

    private const int BufferBytes = 64 << 10;

    private readonly Socket _socket;
    private readonly byte[] _out = new byte[BufferBytes], _in = new byte[BufferBytes];
    private int _outBytes, _inStart, _inEnd;

    /// <summary>Holds a value that does not lie in the input buffer as a whole; grows to the largest that was seen.</summary>
    private byte[] _large = [];

    internal MemcachedClient(string socketPath)
    {
        _socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            _socket.Connect(new UnixDomainSocketEndPoint(socketPath));
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        AppendKey("ms "u8, key);
        _out[_outBytes++] = (byte)' ';
        if (!Utf8Formatter.TryFormat(value.Length, _out.AsSpan(_outBytes), out int digits))
            throw new InvalidOperationException("The output buffer is too small for a header.");
        _outBytes += digits;
        Append(" b ME\r\n"u8); // ME: only if there is none.
        int head = Math.Min(value.Length, BufferBytes - 2 - _outBytes);
        Append(value[..head]);
        if (head < value.Length)
        {
            Flush();
            Send(value[head..]);
        }
        Append("\r\n"u8);
        Flush();

        ReadOnlySpan<byte> answer = ReadLine();
        if (answer.StartsWith("HD"u8))
            return;
        throw answer.StartsWith("NS"u8) ? new InvalidOperationException($"memcached refuses a put: the key {Convert.ToHexString(key)} is in use.") : Unexpected(answer, $"a put of {value.Length} bytes");
    }

    public long Get(ReadOnlySpan<byte> key, bool touch, out ulong sum)
    {
        AppendKey("mg "u8, key);
        Append(" b v\r\n"u8);
        Flush();
        return ReadValue(touch, out sum);
    }

    public int GetMany(ReadOnlySpan<byte> keys, bool touch, out long payloadBytes, out ulong sum)
    {
        int count = 0;
        payloadBytes = 0;
        sum = 0;
        while (!keys.IsEmpty)
        {
            int window = Math.Min(WindowKeys, keys.Length / IBatchClient.KeyBytes);
            for (int i = 0; i < window; i++)
            {
                AppendKey("mg "u8, keys.Slice(i * IBatchClient.KeyBytes, IBatchClient.KeyBytes));
                Append(" b v\r\n"u8);
            }
            Flush();
            for (int i = 0; i < window; i++)
            {
                long bytes = ReadValue(touch, out ulong one);
                if (bytes < 0)
                    continue;
                count++;
                payloadBytes += bytes;
                sum += one;
            }
            keys = keys[(window * IBatchClient.KeyBytes)..];
        }
        return count;
    }

    public bool Contains(ReadOnlySpan<byte> key)
    {
        AppendKey("mg "u8, key);
        Append(" b\r\n"u8);
        Flush();
        ReadOnlySpan<byte> answer = ReadLine();
        return answer.StartsWith("HD"u8) || (answer.StartsWith("EN"u8) ? false : throw Unexpected(answer, "a look-up"));
    }

    public bool Delete(ReadOnlySpan<byte> key)
    {
        AppendKey("md "u8, key);
        Append(" b\r\n"u8);
        Flush();
        ReadOnlySpan<byte> answer = ReadLine();
        return answer.StartsWith("HD"u8) || (answer.StartsWith("NF"u8) ? false : throw Unexpected(answer, "a delete"));
    }

    public void Dispose() => _socket.Dispose();

    private static InvalidOperationException Unexpected(ReadOnlySpan<byte> answer, string request) => new($"memcached answered {request} with: {Encoding.ASCII.GetString(answer)}");

    private void AppendKey(ReadOnlySpan<byte> command, ReadOnlySpan<byte> key)
    {
        Append(command);
        Base64.EncodeToUtf8(key, _out.AsSpan(_outBytes), out _, out int encodedBytes);
        _outBytes += encodedBytes;
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_out.AsSpan(_outBytes));
        _outBytes += bytes.Length;
    }

    private void Flush()
    {
        Send(_out.AsSpan(0, _outBytes));
        _outBytes = 0;
    }

    private void Send(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
            bytes = bytes[_socket.Send(bytes)..];
    }

    private long ReadValue(bool touch, out ulong sum)
    {
        sum = 0;
        ReadOnlySpan<byte> line = ReadLine();
        if (line.StartsWith("EN"u8))
            return -1;
        if (!line.StartsWith("VA "u8) || !Utf8Parser.TryParse(line[3..], out int bytes, out _))
            throw Unexpected(line, "a get");
        ReadOnlySpan<byte> value = ReadBytes(bytes + 2);
        if (value[bytes] != '\r' || value[bytes + 1] != '\n')
            throw new InvalidOperationException($"memcached's value of {bytes} bytes does not end with a line end.");
        if (touch)
            sum = Payload.Sum(value[..bytes]);
        return bytes;
    }

    /// <summary>A line without its end; valid until the next read.</summary>
    private ReadOnlySpan<byte> ReadLine()
    {
        while (true)
        {
            int end = _in.AsSpan(_inStart, _inEnd - _inStart).IndexOf("\r\n"u8);
            if (end >= 0)
            {
                ReadOnlySpan<byte> line = _in.AsSpan(_inStart, end);
                _inStart += end + 2;
                return line;
            }
            Compact();
            if (_inEnd == _in.Length)
                throw new InvalidOperationException($"memcached sent a line of more than {_in.Length} bytes.");
            _inEnd += Receive(_in.AsSpan(_inEnd));
        }
    }

    /// <summary>So many bytes; valid until the next read.</summary>
    private ReadOnlySpan<byte> ReadBytes(int bytes)
    {
        if (bytes > _in.Length)
            return ReadLarge(bytes);
        if (bytes > _in.Length - _inStart)
            Compact();
        while (_inEnd - _inStart < bytes)
            _inEnd += Receive(_in.AsSpan(_inEnd));
        ReadOnlySpan<byte> result = _in.AsSpan(_inStart, bytes);
        _inStart += bytes;
        return result;
    }

    private Span<byte> ReadLarge(int bytes)
    {
        if (_large.Length < bytes)
            _large = GC.AllocateUninitializedArray<byte>(bytes);
        int buffered = _inEnd - _inStart; // Less than the buffer, which is less than what is wanted.
        _in.AsSpan(_inStart, buffered).CopyTo(_large);
        _inStart = _inEnd = 0;
        for (int received = buffered; received < bytes;)
            received += Receive(_large.AsSpan(received, bytes - received));
        return _large.AsSpan(0, bytes);
    }

    private void Compact()
    {
        _in.AsSpan(_inStart, _inEnd - _inStart).CopyTo(_in);
        _inEnd -= _inStart;
        _inStart = 0;
    }

    private int Receive(Span<byte> buffer)
    {
        int bytes = _socket.Receive(buffer);
        return bytes > 0 ? bytes : throw new InvalidOperationException("memcached closed the connection.");
    }
}
