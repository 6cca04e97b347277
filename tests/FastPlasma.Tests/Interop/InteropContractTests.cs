using Mono.Unix.Native;

namespace FastPlasma.Tests.Interop;

/// <summary>The promises of fastplasma.h, held by contract.c: each function, and each error as far as it can be had.</summary>
[Collection(CollectionOfInterop.Name)]
public sealed class InteropContractTests(CLibrary library) : StoreTest
{
    [Fact]
    public void Ids_are_those_of_the_dotnet_api_and_refuse_what_is_none() => Keeps("ids");

    [Fact]
    public void Stores_are_created_opened_listed_read_only_closed_and_destroyed() => Keeps("stores");

    [Fact]
    public void Structs_of_earlier_and_later_headers_are_read_and_filled_to_their_size_and_no_further() => Keeps("sizes");

    [Fact]
    public void Log_tells_recoveries_admissions_and_leftovers_with_their_level_until_the_store_is_closed() => Keeps("log");

    [Fact]
    public void Objects_are_put_created_sealed_aborted_and_deleted_with_all_their_options() => Keeps("writing");

    [Fact]
    public void Full_store_says_with_which_numbers() => Keeps("full");

    [Fact]
    public void Attachment_without_a_free_slot_says_so_and_recovers() => Keeps("pins");

    [Fact]
    public void Gets_wait_copy_batch_and_outlive_the_store() => Keeps("reading");

    [Fact]
    public void Waits_end_by_cancellation_and_by_close() => Keeps("waiting");

    [Fact]
    public void Events_come_by_poll_and_by_callback_until_unsubscribed() => Keeps("events");

    [Fact]
    public void Lists_statistics_and_verification_tell_what_is_there() => Keeps("looking");

    [Fact]
    public void Handles_that_are_stale_null_or_garbage_are_refused_without_harm() => Keeps("handles");

    [Fact]
    public void Threads_of_the_program_come_and_go_and_leave_nothing_behind() => Keeps("threads");

    [Fact]
    public void Calls_beside_a_close_end_as_closed_and_touch_nothing() => Keeps("closing");

    [Fact]
    public void Attachments_of_one_process_are_apart() => Keeps("two");

    [Fact]
    public void Objects_that_memory_has_no_room_for_go_to_disk_and_come_back() => Keeps("spill");

    [Fact]
    public void Only_admitted_users_may_read_and_none_of_them_may_write()
    {
        PlasmaStore store = Named(out string name);
        store.Put(Id("a"), "hello"u8);
        KeepsAsNobody("stranger", name);
        CLibrary.Run(library.Program("contract"), "admit", name);
        KeepsAsNobody("reader", name);
    }

    [Fact]
    public void Leftover_that_is_not_ours_to_remove_is_a_warning_with_its_reason()
    {
        string name = NewName(), path = $"/dev/shm/fastplasma.{name}.00000000000040008000000000000001.data";
        File.WriteAllText(path, "");
        try
        {
            KeepsAsNobody("leftover", name);
            Assert.True(File.Exists(path));
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>Another user can read neither the working copy nor what is compiled there.</summary>
    private void KeepsAsNobody(string part, string name)
    {
        string folder = NewFolder(), program = Path.Combine(folder, "contract"), shared = Path.Combine(folder, "libfastplasma.so.0");
        File.Copy(library.Program("contract"), program);
        File.Copy(CLibrary.SharedObject, shared);
        foreach (string path in (string[])[folder, program, shared])
            Assert.Equal(0, Syscall.chmod(path, (FilePermissions)0x1ED));
        CLibrary.Run(new Dictionary<string, string> { ["LD_LIBRARY_PATH"] = folder }, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, part, name);
    }

    private void Keeps(string part) => CLibrary.Run(library.Program("contract"), part, NewName());
}
