using System.Buffers;

namespace FastPlasma.Tests;

/// <summary>Memory whose address was given to somebody stays until it is given back.</summary>
public sealed unsafe class PinnedMemoryTests : StoreTest
{
    private const int Bytes = 1 << 20;
    private readonly PlasmaStore _store;
    private readonly string _name;
    private readonly byte[] _payload = Pattern.Of(7, Bytes);

    public PinnedMemoryTests()
    {
        _store = Named(out _name);
        _store.Put(Id("a"), _payload);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Pinned_memory_keeps_the_object_beyond_the_release_of_its_handle_and_no_longer(bool deletedBefore)
    {
        PlasmaObject obj = _store.Get(Id("a"), TimeSpan.Zero);
        if (deletedBefore)
            _store.Delete(Id("a"));
        ReadOnlyMemory<byte> memory = obj.AsMemory();
        MemoryHandle whole = memory.Pin(), part = memory[1000..].Pin();
        Assert.True(obj.IsValid);
        Same(_payload, obj.Span); // Pinning changes nothing for the handle.
        Same(_payload, memory.Span);
        Assert.Equal((nint)obj.Pointer + 1000, (nint)part.Pointer);
        obj.Dispose();
        obj.Dispose();
        Assert.False(obj.IsValid);
        Assert.Throws<ObjectDisposedException>(() => obj.Length);
        Assert.Throws<ObjectDisposedException>(() => memory.Span.Length);
        Assert.Throws<ObjectDisposedException>(() => memory.Pin());

        // Others take what memory there is; none of it is this.
        _store.Delete(Id("a"));
        using (PlasmaStore other = PlasmaStore.Open(_name, Small))
            for (int i = 0; other.TryPut(Id($"filler{i}"), new byte[Bytes]) == PlasmaStatus.Ok; i++)
                Assert.True(i < 100);
        Same(_payload, new ReadOnlySpan<byte>(whole.Pointer, Bytes));
        Assert.Equal(1, _store.Stats().CondemnedCount);
        whole.Dispose();
        whole.Dispose();
        Assert.Equal(1, _store.Stats().CondemnedCount);
        part.Dispose();
        Assert.Equal(0, _store.Stats().CondemnedCount);
        Assert.Equal(PlasmaStatus.Ok, _store.TryPut(Id("more"), new byte[Bytes]));
    }

    [Fact]
    public void Unpinning_before_the_release_leaves_the_handle_as_it_was()
    {
        PlasmaObject obj = _store.Get(Id("a"), TimeSpan.Zero);
        for (int round = 0; round < 3; round++)
        {
            using MemoryHandle handle = obj.AsMemory().Pin();
            Assert.True(obj.IsValid);
        }
        Same(_payload, obj.Span);
        ReadOnlySequence<byte> sequence = obj.AsSequence();
        using (sequence.First.Pin())
            Assert.Single(_store.List().Single().Holders);
        obj.Dispose();
        Assert.Empty(_store.List().Single().Holders);
        Assert.Throws<ObjectDisposedException>(() => sequence.First.Pin());
    }

    [Fact]
    public void Unpinning_twice_through_a_copy_is_refused_and_takes_nobody_elses_pin()
    {
        PlasmaObject obj = _store.Get(Id("a"), TimeSpan.Zero);
        MemoryHandle handle = obj.AsMemory().Pin(), copy = handle;
        obj.Dispose();
        handle.Dispose();
        Assert.Throws<InvalidOperationException>(copy.Dispose);
        MemoryHandle again = copy;
        using PlasmaObject next = _store.Get(Id("a"), TimeSpan.Zero); // Has the same slot.
        using MemoryHandle kept = next.AsMemory().Pin();
        Assert.Throws<InvalidOperationException>(again.Dispose);
        Assert.Single(_store.List().Single().Holders);
    }

    [Fact]
    public void A_closed_store_stays_attached_until_the_last_memory_is_unpinned()
    {
        PlasmaStore second = Open(_name);
        PlasmaObject obj = second.Get(Id("a"), TimeSpan.Zero);
        ReadOnlyMemory<byte> memory = obj.AsMemory();
        MemoryHandle handle = memory.Pin();
        second.Dispose();
        Assert.Throws<ObjectDisposedException>(() => memory.Pin());
        obj.Dispose();
        Assert.Equal(2, _store.Stats().Participants.Count);
        Same(_payload, new ReadOnlySpan<byte>(handle.Pointer, Bytes));
        handle.Dispose();
        Assert.Single(_store.Stats().Participants);
    }

    [Fact]
    public void A_handle_is_good_at_every_moment_while_others_pin_and_unpin()
    {
        using PlasmaObject obj = _store.Get(Id("a"), TimeSpan.Zero);
        PlasmaObject read = obj; // The same handle.
        ReadOnlyMemory<byte> memory = obj.AsMemory();
        using var done = new ManualResetEventSlim();
        Eventually.Run[] pinners = [.. Enumerable.Range(0, 2).Select(_ => Eventually.Start(() =>
        {
            while (!done.IsSet) // Ends with the reader.
                memory.Pin().Dispose();
        }))];
        for (int i = 0; i < 300_000; i++)
            Assert.True(read.IsValid && read.Span.Length == Bytes && memory.Span.Length == Bytes);
        done.Set();
        foreach (Eventually.Run pinner in pinners)
            pinner.Join();
    }

    /// <summary>Whoever is last releases, whichever way they meet.</summary>
    [Fact]
    public void Pins_and_releases_of_many_threads_end_with_nothing_pinned()
    {
        for (int round = 0; round < 300; round++)
        {
            PlasmaObject obj = _store.Get(Id("a"), TimeSpan.Zero);
            ReadOnlyMemory<byte> memory = obj.AsMemory();
            using var start = new Barrier(3);
            Eventually.Run[] pinners = [.. Enumerable.Range(0, 2).Select(_ => Eventually.Start(() =>
            {
                start.SignalAndWait();
                try
                {
                    for (int i = 0; i < 1000; i++)
                        using (MemoryHandle handle = memory.Pin())
                            Assert.Equal(_payload[5], ((byte*)handle.Pointer)[5]);
                }
                catch (ObjectDisposedException)
                {
                    return; // Released.
                }
            }))];
            start.SignalAndWait();
            Thread.SpinWait(round * 20);
            obj.Dispose();
            foreach (Eventually.Run pinner in pinners)
                pinner.Join();
            Assert.Empty(_store.List().Single().Holders);
        }
        _store.Delete(Id("a"));
        Assert.Equal(0, _store.Stats().CondemnedCount);
    }
}
