using System.Globalization;

namespace FastPlasma.Lab;

/// <summary>One host of a lab.</summary>
internal sealed class LabHost
{
    private readonly NetworkLab _lab;
    private readonly string? _space;
    private bool _hasTable;

    internal LabHost(NetworkLab lab, int index, string? space, string address)
    {
        _lab = lab;
        Index = index;
        _space = space;
        Address = address;
    }

    internal int Index { get; }

    /// <summary>Where its nodes listen; shared by all hosts when they are loopback ports.</summary>
    internal string Address { get; }

    /// <summary>What starts a program on this host; before other work of the machine, which is not what is measured.</summary>
    internal string[] Wrapper => _space is null ? [] : ["ip", "netns", "exec", _space, "nice", "-n", "-10"];

    /// <summary>Drops so many of a hundred packets that come in and go out.</summary>
    internal void Lose(double percent)
    {
        string one = ((int)(percent * 10)).ToString(CultureInfo.InvariantCulture);
        Filter($"numgen random mod 1000 < {one} drop", $"numgen random mod 1000 < {one} drop");
    }

    /// <summary>Cuts its link, without anybody being told.</summary>
    internal void Cut() => Filter("iifname eth0 drop", "oifname eth0 drop");

    /// <summary>Ends losses and cuts that were made here.</summary>
    internal void Mend()
    {
        if (_hasTable)
            InSpace("nft", "delete", "table", "inet", "lab");
        _hasTable = false;
    }

    internal void Filter(string incoming, string outgoing)
    {
        if (!_hasTable)
        {
            InSpace("nft", "add table inet lab; add chain inet lab in { type filter hook input priority 0; }; add chain inet lab out { type filter hook output priority 0; }");
            _hasTable = true;
        }
        InSpace("nft", $"add rule inet lab in {incoming}; add rule inet lab out {outgoing}");
    }

    private void InSpace(params string[] command) => NetworkLab.InSpace(_space ?? throw new LabException(_lab.Problem ?? ""), command);
}
