namespace FastPlasma.Stress.Storms;

/// <summary>What a process does most of the time.</summary>
internal enum Role
{
    /// <summary>Puts, creates, seals, aborts.</summary>
    Writer,

    /// <summary>Gets, reads every byte, keeps some pins for a while.</summary>
    Reader,

    /// <summary>Deletes, evicts, trims.</summary>
    Deleter,

    /// <summary>Waits for one object, for some of many, for events.</summary>
    Waiter,

    /// <summary>Looks for the dead again and again.</summary>
    Recoverer,

    /// <summary>Holds many pins and many unfinished objects: its recovery takes long.</summary>
    Hoarder,

    /// <summary>Commits one planted fault, then reads.</summary>
    Culprit,
}

/// <summary>A fault that the storm must find; each is a control of the judge.</summary>
internal enum PlantedFault
{
    /// <summary>None.</summary>
    None,

    /// <summary>A creator writes to an object after its seal.</summary>
    CorruptObject,

    /// <summary>A seal is announced that never was.</summary>
    FalseSeal,

    /// <summary>A block belongs to an object that lies elsewhere.</summary>
    LeakBlock,

    /// <summary>A record is taken and in nobody's slots.</summary>
    LeakRecord,

    /// <summary>An operation never ends.</summary>
    Hang,
}
