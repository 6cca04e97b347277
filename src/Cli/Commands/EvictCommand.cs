using System.CommandLine;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma evict</summary>
internal static class EvictCommand
{
    private static readonly Argument<long> Size = new("SIZE")
    {
        Description = "Memory to free, for example 512MiB.",
        CustomParser = Sizes.ParseBytes,
    };

    internal static Command Create() => new StoreCommand(
        "evict", "Drop evictable objects that nobody reads, least recently used first, until SIZE is free.",
        "fastplasma evict 2GiB")
    {
        Size,
    }.NegativeWhen("less than SIZE could be freed").Runs(Run);

    private static int Run(Call call)
    {
        long bytes = call.Value(Size);
        if (bytes <= 0)
            throw CliException.Usage($"SIZE is {bytes} bytes; it has to be more than 0");
        using PlasmaStore store = call.Open(StoreAccess.ReadWrite);
        long freedBytes = store.Evict(bytes);
        if (call.Json)
            call.WriteJson(new EvictJson(bytes, freedBytes), CliJson.Documents.EvictJson);
        else
            call.WriteLine($"freed {Sizes.Bytes(freedBytes)} of {Sizes.Bytes(bytes)}");
        return freedBytes >= bytes ? ExitCodes.Ok : ExitCodes.Negative;
    }
}
