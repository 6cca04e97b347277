namespace FastPlasma.Transfer;

/// <summary>Who goes first when not everything can be moved at once.</summary>
public enum TransferPriority
{
    /// <summary>Somebody needs the bytes now.</summary>
    Get = 0,

    /// <summary>Somebody waits for the object to be there.</summary>
    Wait = 1,

    /// <summary>Somebody will need it.</summary>
    Prefetch = 2,
}
