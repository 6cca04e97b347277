using System.Globalization;
using System.Text;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Scenarios;

namespace FastPlasma.Load.Plots;

/// <summary>Colours and marks by peer, the same in every plot, and readable on light and dark ground.</summary>
internal static class PlotStyle
{
    private const string ProductLight = "#1d4ed8", ProductDark = "#60a5fa", CeilingLight = "#6b7280", CeilingDark = "#9ca3af";

    // For light ground and for dark ground; no blue and no grey, which are the product's and the ceiling's.
    private static readonly (string Light, string Dark)[] s_others =
    [
        ("#c2410c", "#fb923c"), ("#15803d", "#4ade80"), ("#a21caf", "#e879f9"), ("#b91c1c", "#f87171"), ("#0f766e", "#2dd4bf"),
        ("#854d0e", "#facc15"), ("#6d28d9", "#a78bfa"), ("#be185d", "#f9a8d4"), ("#4d7c0f", "#bef264"), ("#0e7490", "#67e8f9"),
    ];

    // The product first. What is no peer has the colours of peers that stand in no plot beside it.
    private static readonly List<string> s_names = [.. PeerList.All.Select(static peer => peer.Name), .. FragmentationScenario.SeriesNames, .. MallocChurnScenario.AllocatorNames, .. ClientPutGetScenario.PeerNames, DataTypesScenario.PeerName];

    /// <summary>Rules for all plots; the ground is that of the page.</summary>
    internal static string Css { get; } = CreateCss();

    /// <summary>Class of a peer's lines, bars and marks.</summary>
    internal static string ClassOf(string peer) => $"peer-{peer.Replace(' ', '-')}";

    /// <summary>The mark of a peer around a place, as an SVG element without attributes of its own but class.</summary>
    internal static string Mark(string peer, double x, double y, string title)
    {
        int index = IndexOf(peer);
        FormattableString shape = (index < 0 ? 0 : index % 6) switch
        {
            1 => $"<rect x='{x - 4:0.#}' y='{y - 4:0.#}' width='8' height='8'",
            2 => $"<path d='M{x:0.#} {y - 5.5:0.#}l5.5 5.5l-5.5 5.5l-5.5 -5.5z'",
            3 => $"<path d='M{x:0.#} {y - 5:0.#}l5.2 9h-10.4z'",
            4 => $"<path d='M{x:0.#} {y + 5:0.#}l5.2 -9h-10.4z'",
            5 => $"<path d='M{x - 5:0.#} {y - 2:0.#}h3v-3h4v3h3v4h-3v3h-4v-3h-3z'",
            _ => $"<circle cx='{x:0.#}' cy='{y:0.#}' r='{(peer == PeerList.Product ? 5 : 4)}'",
        };
        return $"{shape.ToString(CultureInfo.InvariantCulture)} class='mark {ClassOf(peer)}'>{(title.Length == 0 ? "" : $"<title>{title}</title>")}</{shape.Format[1..shape.Format.IndexOf(' ', StringComparison.Ordinal)]}>";
    }

    private static int IndexOf(string name) => s_names.IndexOf(name);

    private static string CreateCss()
    {
        var light = new StringBuilder();
        var dark = new StringBuilder();
        var rules = new StringBuilder();
        foreach (string peer in s_names.Append(CeilingPeer.PeerName))
        {
            int other = IndexOf(peer) - 1;
            (string lightColour, string darkColour) = peer switch
            {
                PeerList.Product => (ProductLight, ProductDark),
                CeilingPeer.PeerName => (CeilingLight, CeilingDark),
                _ => s_others[other % s_others.Length],
            };
            light.Append(CultureInfo.InvariantCulture, $"--{ClassOf(peer)}:{lightColour};");
            dark.Append(CultureInfo.InvariantCulture, $"--{ClassOf(peer)}:{darkColour};");
            rules.Append(CultureInfo.InvariantCulture, $".plot .{ClassOf(peer)}{{--c:var(--{ClassOf(peer)})}}\n");
        }

        rules.Append(CultureInfo.InvariantCulture, $".plot .line.{ClassOf(CeilingPeer.PeerName)}{{stroke-dasharray:6 4}}\n.plot .line.{ClassOf(PeerList.Product)}{{stroke-width:3}}\n");
        return $$"""
            .plot{--ink:#1f2937;--soft:#4b5563;--grid:#e5e7eb;{{light}}font:12px system-ui,-apple-system,'Segoe UI',sans-serif}
            @media (prefers-color-scheme:dark){.plot{--ink:#e5e7eb;--soft:#b6bcc6;--grid:#374151;{{dark}}} }
            .plot text{fill:var(--soft)}
            .plot .title{fill:var(--ink);font-size:14px;font-weight:600}
            .plot .value{fill:var(--ink)}
            .plot .grid{stroke:var(--grid);stroke-width:1;fill:none}
            .plot .line{stroke:var(--c);stroke-width:2;fill:none;stroke-linejoin:round}
            .plot .mark{fill:var(--c)}
            {{rules}}
            """;
    }
}
