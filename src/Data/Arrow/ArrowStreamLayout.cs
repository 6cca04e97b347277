using System.Buffers.Binary;
using Apache.Arrow;
using Apache.Arrow.Types;

namespace FastPlasma.Data;

/// <summary>
/// Takes an Arrow IPC stream as Apache.Arrow's writer writes it, with everything at multiples of 8 bytes, and lays it out anew so that every buffer lies at a multiple of 64.
/// Without a target it only counts, which is how the size of the object is found; with one it writes into it, each payload byte once.
/// </summary>
/// <remarks>
/// An IPC message is: -1, length of metadata, metadata (a FlatBuffers table), body. Metadata may be padded at will, and buffers may lie anywhere in the body, so the new stream is as valid as the old:
/// https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format. Of the metadata the offsets of buffers and the length of the body are changed.
/// Of a part without elements Apache.Arrow's writer writes the offset at which it was cut out of a longer one, though none of the values: such buffers become zeroes.
/// </remarks>
internal sealed class ArrowStreamLayout : Stream
{
    internal const int AlignmentBytes = 64;

    private const int PrefixBytes = 8, Continuation = -1;

    private readonly Schema _schema;
    private readonly IArrowType[] _columns;
    private readonly ObjectWriter _target;
    private readonly bool _writes;
    private readonly byte[] _prefix = new byte[PrefixBytes];
    private byte[] _metadata = [];
    private int _prefixFill, _metadataFill, _metadataBytes;
    private Dictionary<long, IArrowType> _dictionaries = [];
    private long[] _from = [], _length = [], _to = [];
    private bool[] _isEmpty = [];
    private int _buffer;
    private long _bodyBytes, _bodyRead, _bodyTo, _newBodyBytes;
    private State _state;
    private bool _ended;

    private enum State
    {
        Prefix,
        Metadata,
        Body,
    }

    internal ArrowStreamLayout(Schema schema)
    {
        _schema = schema;
        _columns = [.. schema.FieldsList.Select(static field => field.DataType)];
    }

    internal ArrowStreamLayout(Schema schema, ObjectWriter target)
        : this(schema)
    {
        _target = target;
        _writes = true;
    }

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    /// <summary>Bytes of the new stream so far.</summary>
    public override long Length => LaidOut;

    public override long Position
    {
        get => LaidOut;
        set => throw new NotSupportedException();
    }

    internal long LaidOut { get; private set; }

    /// <summary>Payload bytes: those of buffers.</summary>
    internal long BufferBytes { get; private set; }

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty) // Ends: each step takes a byte at least.
        {
            if (_ended)
                throw new InvalidDataException("The Arrow stream goes on after its end.");
            int taken = _state switch
            {
                State.Prefix => TakePrefix(buffer),
                State.Metadata => TakeMetadata(buffer),
                _ => TakeBody(buffer),
            };
            buffer = buffer[taken..];
        }
    }

    private int TakePrefix(ReadOnlySpan<byte> bytes)
    {
        int taken = Math.Min(PrefixBytes - _prefixFill, bytes.Length);
        bytes[..taken].CopyTo(_prefix.AsSpan(_prefixFill));
        _prefixFill += taken;
        if (_prefixFill < PrefixBytes)
            return taken;
        _prefixFill = 0;
        _metadataBytes = BinaryPrimitives.ReadInt32LittleEndian(_prefix.AsSpan(sizeof(int)));
        if (_metadataBytes == 0)
        {
            EmitPrefix(0);
            _ended = true;
            return taken;
        }
        if (_metadata.Length < _metadataBytes)
            _metadata = new byte[_metadataBytes];
        _metadataFill = 0;
        _state = State.Metadata;
        return taken;
    }

    private int TakeMetadata(ReadOnlySpan<byte> bytes)
    {
        int taken = Math.Min(_metadataBytes - _metadataFill, bytes.Length);
        bytes[..taken].CopyTo(_metadata.AsSpan(_metadataFill));
        _metadataFill += taken;
        if (_metadataFill < _metadataBytes)
            return taken;
        PlaceBuffers(_metadata.AsSpan(0, _metadataBytes));
        int padded = (int)RoundUp(PrefixBytes + _metadataBytes) - PrefixBytes;
        EmitPrefix(padded);
        Emit(_metadata.AsSpan(0, _metadataBytes));
        EmitZeros(padded - _metadataBytes);
        (_bodyTo, _bodyRead, _buffer, _state) = (LaidOut, 0, 0, State.Body);
        if (_bodyBytes == 0)
            EndBody();
        return taken;
    }

    private void PlaceBuffers(Span<byte> metadata)
    {
        FlatTable message = FlatTable.Root(metadata);
        _bodyBytes = message.Long(ArrowMetadata.MessageBodyBytes);
        _newBodyBytes = 0;
        byte kind = message.Byte(ArrowMetadata.MessageHeaderType);
        int count = 0, first = 0;
        List<int> nodeOf = [];
        List<long> nodeLengths = [];
        if (kind == ArrowMetadata.HeaderSchema)
            _dictionaries = ArrowMetadata.DictionariesOf(metadata, _schema);
        if (kind is ArrowMetadata.HeaderBatch or ArrowMetadata.HeaderDictionary)
        {
            FlatTable batch = message.Table(ArrowMetadata.MessageHeader);
            IArrowType[] types = _columns;
            if (kind == ArrowMetadata.HeaderDictionary)
            {
                types = [_dictionaries[batch.Long(ArrowMetadata.DictionaryId)]];
                batch = batch.Table(ArrowMetadata.DictionaryData);
            }
            nodeOf = ArrowTypes.NodesOfBuffers(types, Numbers(batch, ArrowMetadata.BatchVariadicCounts, sizeof(long)));
            nodeLengths = Numbers(batch, ArrowMetadata.BatchNodes, ArrowMetadata.PairBytes);
            first = batch.Vector(ArrowMetadata.BatchBuffers, ArrowMetadata.PairBytes, out count);
        }
        if (nodeOf.Count != count)
            throw new InvalidDataException($"The Arrow stream has a batch of {count} buffers, {nodeOf.Count} are what its columns need.");
        (_from, _length, _to, _isEmpty) = (new long[count], new long[count], new long[count], [.. nodeOf.Select(node => nodeLengths[node] == 0)]);
        for (int i = 0; i < count; i++)
        {
            Span<byte> place = metadata.Slice(first + i * ArrowMetadata.PairBytes, ArrowMetadata.PairBytes);
            (_from[i], _length[i], _to[i]) = (BinaryPrimitives.ReadInt64LittleEndian(place), BinaryPrimitives.ReadInt64LittleEndian(place[sizeof(long)..]), _newBodyBytes);
            BinaryPrimitives.WriteInt64LittleEndian(place, _newBodyBytes);
            _newBodyBytes = RoundUp(_newBodyBytes + _length[i]);
        }
        if (_bodyBytes != 0)
            BinaryPrimitives.WriteInt64LittleEndian(metadata[message.PositionOf(ArrowMetadata.MessageBodyBytes, sizeof(long))..], _newBodyBytes);
    }

    /// <summary>The first number of each element of a vector.</summary>
    private static List<long> Numbers(FlatTable table, int field, int elementBytes)
    {
        int first = table.Vector(field, elementBytes, out int count);
        var numbers = new List<long>(count);
        for (int i = 0; i < count; i++)
            numbers.Add(table.LongAt(first + i * elementBytes));
        return numbers;
    }

    private int TakeBody(ReadOnlySpan<byte> bytes)
    {
        while (_buffer < _from.Length && _bodyRead >= _from[_buffer] + _length[_buffer])
            _buffer++; // Done, or empty.
        long end = _buffer == _from.Length ? _bodyBytes : _bodyRead < _from[_buffer] ? _from[_buffer] : _from[_buffer] + _length[_buffer];
        int taken = (int)Math.Min(bytes.Length, end - _bodyRead);
        if (_buffer < _from.Length && _bodyRead >= _from[_buffer]) // Else what lies between two buffers, which is left out.
        {
            EmitZeros(_bodyTo + _to[_buffer] + (_bodyRead - _from[_buffer]) - LaidOut);
            if (_isEmpty[_buffer])
                EmitZeros(taken);
            else
                Emit(bytes[..taken]);
            BufferBytes += taken;
        }
        _bodyRead += taken;
        if (_bodyRead == _bodyBytes)
            EndBody();
        return taken;
    }

    private void EndBody()
    {
        EmitZeros(_bodyTo + _newBodyBytes - LaidOut);
        _state = State.Prefix;
    }

    private void EmitPrefix(int metadataBytes)
    {
        Span<byte> prefix = stackalloc byte[PrefixBytes];
        BinaryPrimitives.WriteInt32LittleEndian(prefix, Continuation);
        BinaryPrimitives.WriteInt32LittleEndian(prefix[sizeof(int)..], metadataBytes);
        Emit(prefix);
    }

    private void Emit(ReadOnlySpan<byte> bytes)
    {
        if (_writes)
            _target.CopyFrom(bytes, LaidOut);
        LaidOut += bytes.Length;
    }

    private void EmitZeros(long count)
    {
        if (count == 0)
            return;
        if (_writes)
            _target.GetSpan(LaidOut, checked((int)count)).Clear(); // The memory holds what its last owner left.
        LaidOut += count;
    }

    private static long RoundUp(long bytes) => (bytes + AlignmentBytes - 1) & -AlignmentBytes;
}
