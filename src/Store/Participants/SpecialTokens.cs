using FastPlasma.Files;

namespace FastPlasma.Participants;

/// <summary>Bytes of the writers' lock file that are no participant's. All of them are here.</summary>
internal static class SpecialTokens
{
    /// <summary>Held while a reader is admitted.</summary>
    internal const int Admission = 320;

    /// <summary>Held by the store's one node service while it lives.</summary>
    internal const int NodeService = 321;

    /// <summary>Held by the one attachment whose spiller moves objects to disk ahead of need.</summary>
    internal const int Spiller = 322;

    internal const byte CheckBehindParticipants = Admission >= StoreGeometry.ParticipantCountMax ? 0 : -1;
}
