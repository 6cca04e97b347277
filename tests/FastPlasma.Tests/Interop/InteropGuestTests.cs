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
    public void Sigpipe_and_sigsegv_keep_their_default_action() => Behaves("default");

    [Fact]
    public void Forked_child_is_refused_by_every_call_and_its_parent_is_unharmed() => Behaves("fork");

    [Fact]
    public void Library_stays_loaded_when_it_is_closed_and_opened_again() => Behaves("reload");

    [Fact]
    public void First_use_may_be_by_many_threads_at_once() => Behaves("first");

    private void Behaves(string part) => CLibrary.Run(library.Program("guest"), part, CLibrary.SharedObject);
}
