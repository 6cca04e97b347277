using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text;
using Apache.Arrow;
using Apache.Arrow.Ipc;
using Apache.Arrow.Types;
using FastPlasma.Cli.Children;
using FastPlasma.Data;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Parts;

/// <summary>Puts and gets tensors and Arrow batches of doubles, in place and through streams. Argument: the store's folder. Requests: "WHAT BYTES OPERATIONS KIND PEER", or <see cref="Warm"/> once.</summary>
internal sealed class DataPart : IPart
{
    internal const string PartName = "data", Warm = "warm", Tensor = "tensor", Arrow = "arrow", MemoryStream = "memory-stream";

    public string Name => PartName;

    public void Run(ParentPipe parent, string[] arguments)
    {
        using PlasmaStore store = PlasmaStore.Open(FastPlasmaPeer.StoreName, new PlasmaOptions { Directory = arguments[0] });
        using var stream = new MemoryStream();
        var all = new Dictionary<(string Kind, string Peer), Values>
        {
            [(Tensor, PeerList.Product)] = new InPlaceTensor(store),
            [(Tensor, MemoryStream)] = new StreamedTensor(store, stream),
            [(Tensor, CeilingPeer.PeerName)] = new Plain(store),
            [(Arrow, PeerList.Product)] = new InPlaceArrow(store),
            [(Arrow, MemoryStream)] = new StreamedArrow(store, stream),
            [(Arrow, CeilingPeer.PeerName)] = new Plain(store),
        };
        TimedCalls.Serve(parent, request => request.What == Warm ? WarmAll(all.Values) : all[(request.Rest[0], request.Rest[1])].Do(request));
    }

    /// <summary>All of them at once: the runtime needs its time once.</summary>
    private static WorkResult WarmAll(IReadOnlyCollection<Values> all) => TimedCalls.Warm(() =>
    {
        foreach (Values values in all)
            values.Warm();
    });

    /// <summary>One kind of values with one way to put and get them.</summary>
    private abstract class Values(PlasmaStore store)
    {
        private const int WarmBytes = 1 << 16, WarmOperations = 8;
        private ObjectId[] _ids = [];
        private double _sink;

        /// <summary>Store of the objects.</summary>
        protected PlasmaStore Store { get; } = store;

        /// <summary>Copied by the code here, which the store does not see.</summary>
        protected long OwnCopiedBytes { get; set; }

        internal WorkResult Do(CallRequest request)
        {
            int operations = request.Operations;
            switch (request.What)
            {
                case "check":
                    Make(request.Bytes);
                    Check();
                    return new WorkResult();
                case "copies":
                    Make(request.Bytes);
                    return Copies(request.Bytes);
                case "put":
                    Make(request.Bytes);
                    Prepare(operations);
                    return TimedCalls.Time(operations, PutAll);
                case "get":
                    return TimedCalls.Time(operations, GetAll);
                case "sum":
                    return TimedCalls.Time(operations, SumAll);
                case "delete":
                    return TimedCalls.Time(operations, DeleteAll);
                default:
                    throw new ArgumentException($"There is no such work: {request.What}.");
            }
        }

        /// <summary>Runs everything once.</summary>
        internal void Warm()
        {
            Make(WarmBytes);
            Prepare(WarmOperations);
            PutAll();
            GetAll();
            SumAll();
            DeleteAll();
        }

        /// <summary>Makes the values that are put, of so many bytes, if they are not there.</summary>
        protected abstract void Make(int bytes);

        /// <summary>Before so many puts; not timed.</summary>
        protected virtual void Prepare(int operations) => _ids = [.. Enumerable.Range(0, operations).Select(static _ => ObjectId.NewRandom())];

        protected abstract void Put(in ObjectId id);

        /// <summary>Gets an object and reads one element, or the sum of all.</summary>
        protected abstract double Get(in ObjectId id, bool sum);

        /// <summary>What <see cref="Get"/> must give.</summary>
        protected abstract double Expected(bool sum);

        protected virtual void Delete(in ObjectId id)
        {
            if (Store.Delete(id) != PlasmaStatus.Ok)
                throw new InvalidOperationException($"Object {id} was put and is missing.");
        }

        /// <summary>Doubles that no page could be shared by; their sum is exact, so it does not depend on the order.</summary>
        protected static double[] Doubles(int bytes)
        {
            double[] made = new double[bytes / sizeof(double)];
            for (int i = 0; i < made.Length; i++)
                made[i] = (i * 31 % 1009) + (i & 3);
            return made;
        }

        private void Check()
        {
            Prepare(1);
            PutAll();
            foreach (bool sum in (bool[])[false, true])
                if (Get(_ids[0], sum) is var found && found != Expected(sum))
                    throw new InvalidDataException($"{GetType().Name}: what was got has {found} where {Expected(sum)} was put.");
            DeleteAll();
        }

        private WorkResult Copies(int bytes)
        {
            Prepare(1);
            long before = Copied();
            PutAll();
            long between = Copied();
            GetAll();
            long after = Copied();
            DeleteAll();
            return new WorkResult { Figures = [(between - before) / (double)bytes, (after - between) / (double)bytes] };
        }

        private long Copied()
        {
            OperationCounts counts = Store.Stats().Process;
            return counts.PutCopiedBytes + counts.CreateCopiedBytes + counts.GetCopiedBytes + OwnCopiedBytes;
        }

        private void PutAll()
        {
            foreach (ObjectId id in _ids)
                Put(id);
        }

        private void GetAll()
        {
            foreach (ObjectId id in _ids)
                _sink += Get(id, sum: false);
        }

        private void SumAll()
        {
            foreach (ObjectId id in _ids)
                _sink += Get(id, sum: true);
        }

        private void DeleteAll()
        {
            foreach (ObjectId id in _ids)
                Delete(id);
        }
    }

    private abstract class Elements(PlasmaStore store) : Values(store)
    {
        protected double[] Source { get; private set; } = [];

        protected override void Make(int bytes)
        {
            if (Source.Length != bytes / sizeof(double))
                Source = Doubles(bytes);
        }

        protected override double Expected(bool sum) => Read(Source, sum);

        protected static double Read(ReadOnlySpan<double> values, bool sum) => sum ? TensorPrimitives.Sum(values) : values[values.Length / 2];
    }

    /// <summary>The ceiling: a copy to memory used before, in as many places as there are objects, one atomic increment, and a sum over an own array.</summary>
    private sealed class Plain(PlasmaStore store) : Elements(store)
    {
        private double[] _copy = [];
        private int _place;
        private long _word;

        protected override void Prepare(int operations)
        {
            base.Prepare(operations);
            _place = 0;
            if (_copy.Length == Source.Length * operations)
                return;
            _copy = new double[Source.Length * operations];
            _copy.AsSpan().Fill(1);
        }

        protected override void Put(in ObjectId id)
        {
            Source.AsSpan().CopyTo(_copy.AsSpan(_place));
            _place += Source.Length;
        }

        protected override double Get(in ObjectId id, bool sum)
        {
            Interlocked.Increment(ref _word);
            return Read(Source, sum);
        }

        protected override void Delete(in ObjectId id)
        {
        }
    }

    private sealed class InPlaceTensor(PlasmaStore store) : Elements(store)
    {
        private const int Columns = 4;
        private readonly nint[] _lengths = [0, Columns];

        protected override void Make(int bytes)
        {
            base.Make(bytes);
            _lengths[0] = Source.Length / Columns;
        }

        protected override void Put(in ObjectId id) => Store.PutTensor(id, new ReadOnlyTensorSpan<double>(Source, _lengths));

        protected override double Get(in ObjectId id, bool sum)
        {
            using TensorObject<double> tensor = Store.GetTensor<double>(id, TimeSpan.Zero, rank: 2);
            return Read(MemoryMarshal.CreateReadOnlySpan(in tensor.Span.GetPinnableReference(), (int)tensor.Span.FlattenedLength), sum);
        }
    }

    /// <summary>Rank, length and elements, as one writes them by hand into a stream that is used again and has its size already.</summary>
    private sealed class StreamedTensor(PlasmaStore store, MemoryStream stream) : Elements(store)
    {
        private byte[] _read = [];

        protected override void Put(in ObjectId id)
        {
            stream.SetLength(0);
            using (var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true))
            {
                writer.Write(1);
                writer.Write((long)Source.Length);
                writer.Write(MemoryMarshal.AsBytes(Source.AsSpan()));
            }
            OwnCopiedBytes += stream.Length;
            Store.Put(id, stream.GetBuffer().AsSpan(0, (int)stream.Length));
        }

        protected override double Get(in ObjectId id, bool sum)
        {
            int length = Fetch(Store, id, ref _read);
            using var reader = new BinaryReader(new MemoryStream(_read, 0, length));
            _ = reader.ReadInt32();
            double[] values = new double[reader.ReadInt64()];
            reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
            OwnCopiedBytes += 2L * length; // Into the array, and from there.
            return Read(values, sum);
        }
    }

    private class InPlaceArrow(PlasmaStore store) : Values(store)
    {
        private const int Columns = 4;
        private double _expectedSum;

        protected RecordBatch Batch { get; private set; } = new(new Schema([], null), [], 0);

        protected override void Make(int bytes)
        {
            int rows = bytes / sizeof(double) / Columns;
            if (Batch.Length == rows)
                return;
            double[] column = Doubles(rows * sizeof(double));
            Field[] fields = [.. Enumerable.Range(0, Columns).Select(static i => new Field($"c{i}", DoubleType.Default, nullable: false))];
            IArrowArray[] columns = [.. Enumerable.Range(0, Columns).Select(_ => new DoubleArray.Builder().Append(column.AsSpan()).Build())];
            Batch = new RecordBatch(new Schema(fields, null), columns, rows);
            _expectedSum = Columns * TensorPrimitives.Sum<double>(column);
        }

        protected override void Put(in ObjectId id) => Store.PutArrow(id, Batch);

        protected override double Get(in ObjectId id, bool sum)
        {
            using ArrowObject arrow = Store.GetArrow(id, TimeSpan.Zero);
            return Read(arrow.Batch, sum);
        }

        protected override double Expected(bool sum) => sum ? _expectedSum : Read(Batch, sum: false);

        protected static double Read(RecordBatch batch, bool sum)
        {
            if (!sum)
                return ((DoubleArray)batch.Column(Columns / 2)).Values[batch.Length / 2];
            double all = 0;
            for (int i = 0; i < Columns; i++)
                all += TensorPrimitives.Sum(((DoubleArray)batch.Column(i)).Values);
            return all;
        }
    }

    /// <summary>Apache.Arrow's own reader and writer over a stream that is used again and has its size already.</summary>
    private sealed class StreamedArrow(PlasmaStore store, MemoryStream stream) : InPlaceArrow(store)
    {
        private byte[] _read = [];

        protected override void Put(in ObjectId id)
        {
            stream.SetLength(0);
            using (var writer = new ArrowStreamWriter(stream, Batch.Schema, leaveOpen: true))
            {
                writer.WriteRecordBatch(Batch);
                writer.WriteEnd();
            }
            OwnCopiedBytes += stream.Length;
            Store.Put(id, stream.GetBuffer().AsSpan(0, (int)stream.Length));
        }

        protected override double Get(in ObjectId id, bool sum)
        {
            int length = Fetch(Store, id, ref _read);
            using var reader = new ArrowStreamReader(new MemoryStream(_read, 0, length));
            using RecordBatch batch = reader.ReadNextRecordBatch();
            OwnCopiedBytes += 2L * length; // Into the array, and by the reader into its own memory.
            return Read(batch, sum);
        }
    }

    /// <summary>The bytes of an object in an array, which a stream needs.</summary>
    private static int Fetch(PlasmaStore store, in ObjectId id, ref byte[] target)
    {
        using PlasmaObject obj = store.Get(id, TimeSpan.Zero);
        int length = (int)obj.Length;
        if (target.Length < length)
            target = new byte[length];
        obj.Span.CopyTo(target);
        return length;
    }
}
