using System.Numerics.Tensors;
using Apache.Arrow;
using Apache.Arrow.Types;
using FastPlasma;
using FastPlasma.Data;

using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 16 << 20 });

store.Put(ObjectId.FromName("bytes"), [1, 2, 3]);
using (PlasmaObject bytes = store.Get(ObjectId.FromName("bytes"), TimeSpan.Zero))
    Console.WriteLine($"bytes: {string.Join(' ', bytes.Span.ToArray())}");

using (TensorWriter<float> writer = store.CreateTensor<float>(ObjectId.FromName("tensor"), [2, 3]))
{
    writer.Span.Fill(1.5f);
    writer.Seal();
}
using (TensorObject<float> tensor = store.GetTensor<float>(ObjectId.FromName("tensor"), TimeSpan.Zero))
    Console.WriteLine($"tensor: {string.Join('x', tensor.Span.Lengths.ToArray())}, sum {Tensor.Sum(tensor.Span)}");

var schema = new Schema([new Field("n", Int64Type.Default, false)], null);
store.PutArrow(ObjectId.FromName("batch"), new RecordBatch(schema, [new Int64Array.Builder().AppendRange([1, 2, 39]).Build()], 3));
using (ArrowObject arrow = store.GetArrow(ObjectId.FromName("batch"), TimeSpan.Zero))
    Console.WriteLine($"arrow: {arrow.Batch.Length} rows, sum {((Int64Array)arrow.Batch.Column(0)).Values.ToArray().Sum()}");
Console.WriteLine($"copied at get: {store.Stats().Process.GetCopiedBytes}");
