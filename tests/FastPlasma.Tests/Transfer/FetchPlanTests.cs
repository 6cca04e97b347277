using FastPlasma.Transfer.Scheduling;

namespace FastPlasma.Tests.Transfer;

/// <summary>Which chunk is asked of which source, and who is named to whom.</summary>
public sealed class FetchPlanTests
{
    [Fact]
    public void A_complete_source_is_asked_for_what_nobody_else_has_or_expects()
    {
        var plan = new FetchPlan(8, 0);
        int complete = Complete(plan), partial = plan.AddSource();
        plan.SourceHas(partial, 0, 2);
        plan.SourceExpects(partial, 2, 3);
        Assert.Equal([5, 6], AskAll(plan, complete));
    }

    [Fact]
    public void A_complete_source_with_nothing_else_to_do_gives_what_others_have()
    {
        var plan = new FetchPlan(4, 0);
        int complete = Complete(plan), partial = plan.AddSource();
        plan.SourceHas(partial, 0, 2);
        plan.SourceExpects(partial, 2, 2);
        Assert.Equal([0], AskAll(plan, complete));
    }

    [Fact]
    public void Alone_with_a_complete_source_more_is_asked_with_each_chunk_that_comes()
    {
        var plan = new FetchPlan(64, 0);
        int complete = Complete(plan);
        List<int> asked = AskAll(plan, complete);
        Assert.Equal(FetchPlan.CreditsFirst, asked.Count);
        Arrive(plan, complete, asked[0]);
        Assert.Equal(2, AskAll(plan, complete).Count);
    }

    [Fact]
    public void What_a_lost_source_expected_is_asked_of_the_complete_one_again()
    {
        var plan = new FetchPlan(4, 0);
        int complete = Complete(plan), partial = plan.AddSource(), other = plan.AddSource();
        plan.SourceExpects(partial, 0, 4);
        plan.SourceExpects(other, 3, 1);
        plan.RemoveSource(partial);
        Assert.Equal([0, 1], AskAll(plan, complete));
    }

    [Fact]
    public void A_crowded_source_is_left_alone_until_patience_is_spent()
    {
        var plan = new FetchPlan(4, 0);
        int crowded = plan.AddSource();
        plan.SourceIsComplete(crowded, isCrowded: true);
        Assert.False(plan.TryAsk(crowded, isPatient: false, out _));
        var patience = new Patience(firstChunk: 0);
        Assert.False(patience.Tick(0, isIdle: true));
        Assert.True(patience.Tick(Patience.AskAgainMs, isIdle: true));
        for (long ms = Patience.AskAgainMs; !patience.IsSpent; ms += 100)
        {
            Assert.True(ms < 10_000);
            patience.Tick(ms, isIdle: true);
        }
        Assert.True(plan.TryAsk(crowded, patience.IsSpent, out _));
        Assert.False(plan.TryAsk(crowded, patience.IsSpent, out _)); // One at a time.
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Each_chunk_is_asked_of_one_source_at_a_time_whatever_fails(int seed)
    {
        const int chunks = 40, sources = 6;
        var random = new Random(seed);
        var plan = new FetchPlan(chunks, random.Next(chunks));
        int[] index = new int[sources];
        for (int i = 0; i < sources; i++)
            index[i] = plan.AddSource();
        plan.SourceIsComplete(index[0]);
        var under = new Dictionary<int, int>();
        for (int step = 0; !plan.IsComplete; step++)
        {
            Assert.True(step < 100_000, "it does not end");
            int i = random.Next(sources);
            switch (random.Next(5))
            {
                case 0 when i > 0 && plan.IsSource(index[i]):
                    plan.SourceHas(index[i], random.Next(chunks), 1);
                    break;
                case 1 when i > 0 && plan.IsSource(index[i]):
                    plan.SourceExpects(index[i], random.Next(chunks), 1);
                    break;
                case 2 when i > 0 && random.Next(10) == 0:
                    plan.RemoveSource(index[i]);
                    foreach (int chunk in under.Where(pair => pair.Value == i).Select(static pair => pair.Key).ToArray())
                        under.Remove(chunk);
                    index[i] = plan.AddSource();
                    break;
                case 3 when plan.TryAsk(index[i], isPatient: true, out int chunk):
                    Assert.True(under.TryAdd(chunk, i), $"chunk {chunk} is asked of two sources");
                    break;
                case 4 when under.Count > 0:
                    (int one, int from) = under.ElementAt(random.Next(under.Count));
                    under.Remove(one);
                    if (random.Next(4) == 0)
                        plan.SourceLacks(index[from], one);
                    else
                        Arrive(plan, index[from], one);
                    break;
            }
            Assert.Equal(under.Count, plan.UnderWayCount);
        }
    }

    [Fact]
    public void Takers_begin_at_different_places_and_the_first_are_named_to_each_other()
    {
        var takers = new TakerList<object>();
        TakerPlace<object>[] places = [.. Enumerable.Range(0, 8).Select(_ => takers.Join(new object(), 64, 0, static _ => false, new Random(1)))];
        Assert.Equal([0u, 32, 16, 48, 8, 40, 24, 56], places.Select(static place => place.FirstChunk));
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7], places.Select(static place => place.Named.Count));
    }

    [Fact]
    public void Who_comes_when_enough_take_it_is_sent_on_until_one_of_them_is_gone()
    {
        var takers = new TakerList<object>();
        object first = new();
        bool gone = false;
        takers.Join(first, 64, 0, static _ => false, new Random(1));
        for (int i = 1; i < TakerList<object>.DirectMax; i++)
            Assert.False(Join(takers).IsCrowded);
        Assert.True(Join(takers).IsCrowded);
        gone = true;
        Assert.False(Join(takers).IsCrowded);

        TakerPlace<object> Join(TakerList<object> list) => list.Join(new object(), 64, 0, who => gone && ReferenceEquals(who, first), new Random(2));
    }

    private static int Complete(FetchPlan plan)
    {
        int index = plan.AddSource();
        plan.SourceIsComplete(index);
        return index;
    }

    private static List<int> AskAll(FetchPlan plan, int index)
    {
        List<int> asked = [];
        while (plan.TryAsk(index, isPatient: false, out int chunk))
            asked.Add(chunk);
        return asked;
    }

    private static void Arrive(FetchPlan plan, int index, int chunk)
    {
        Assert.True(plan.TryBeginReceive(index, chunk));
        plan.Arrived(chunk);
    }
}
