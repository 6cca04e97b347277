namespace FastPlasma.Tests.Interop;

/// <summary>The library in somebody else's process: guest.c, which loads it by dlopen.</summary>
[Collection(CollectionOfInterop.Name)]
public sealed class InteropGuestTests(CLibrary library)
{
    [Fact]
    public void Signal_handlers_and_masks_of_the_program_survive_loading_and_use() => Behaves("signals");

    [Fact]
    public void Realtime_signals_that_the_program_handles_are_left_to_it() => Behaves("realtime");

    [Fact]
    public void Default_actions_stay_and_no_other_library_is_loaded() => Behaves("default");

    [Fact]
    public void Forked_child_is_refused_by_every_call_and_its_parent_is_unharmed() => Behaves("fork");

    [Fact]
    public void Processor_that_is_too_old_is_refused_by_every_call()
    {
        // The C files alone, told that the processor is none; nothing managed may be entered, and nothing is there.
        string native = Path.Combine(Repository.Folder, "src", "Interop", "native"), shared = library.PathOf("too-old.so");
        CLibrary.Run(
            "gcc", "-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", "-DFP_HOST_PROCESSOR_IS_ENOUGH=0", "-o", shared,
            Path.Combine(native, "entry.c"), Path.Combine(native, "host.c"), Path.Combine(native, "sha256.c"),
            "-Wl,--wrap=sigaction,--wrap=signal,--wrap=pthread_kill,--wrap=pthread_create,--wrap=atexit,--wrap=pthread_key_create,--wrap=srand48,--wrap=lrand48,--unresolved-symbols=ignore-all,-z,lazy");
        CLibrary.Run(library.Program("guest"), "old", shared);
    }

    [Fact]
    public void Exit_handlers_of_the_program_may_use_the_library() => Behaves("exit");

    [Fact]
    public void Changed_disposition_is_found()
    {
        Exception found = Assert.ThrowsAny<Exception>(() => Behaves("control"));
        Assert.Contains("before->of[i].sa_handler == SIG_DFL", found.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Library_stays_loaded_when_it_is_closed_and_opened_again() => Behaves("reload");

    [Fact]
    public void First_use_may_be_by_many_threads_at_once() => Behaves("first");

    [Fact]
    public void Ending_threads_may_call_the_library_and_end_in_a_forked_child() => Behaves("ends");

    [Fact]
    public void Random_sequence_of_the_program_goes_on() => Behaves("random");

    [Fact]
    public void Closed_standard_descriptors_are_not_taken_by_a_store() => Behaves("standard");

    [Theory]
    [InlineData("taken")]
    [InlineData("reset")]
    public void Realtime_signal_that_the_program_takes_later_is_not_sent(string part) => Behaves(part);

    [Fact]
    public void Threads_that_the_system_refuses_fail_the_call_and_nothing_later() => Behaves("refused");

    private void Behaves(string part) => CLibrary.Run(library.Program("guest"), part, CLibrary.SharedObject);
}
