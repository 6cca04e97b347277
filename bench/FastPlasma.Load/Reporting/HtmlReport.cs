using System.Globalization;
using System.Net;
using System.Text;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Plots;

namespace FastPlasma.Load.Reporting;

/// <summary>The run as one page that needs nothing else.</summary>
internal static class HtmlReport
{
    /// <summary>What makes the figures comparable.</summary>
    internal static readonly string[] FairnessRules =
    [
        "All peers do the same calls with the same keys, bytes, order, durations and numbers of processes, driven by the same loop through the same interface.",
        "Nobody writes to a disk: all have their data in memory, and whoever can persist has that switched off. Nothing survives a reboot.",
        "Every peer is configured for speed; how, is said in its description.",
        "Gets are measured untouched (the object is found, pinned and given back) and touched (every byte is summed, in place where there is a view, in the copy where a get copies).",
        "Before it is measured, every peer passes a self-check in two processes: bytes of all sizes are read back, deleted ones are gone, reused keys have their new bytes.",
        "The ceiling is no store: it runs under the same driver and does only what no store can do without.",
    ];

    private const string Css = """
        :root{color-scheme:light dark;--ground:#fff;--ink:#1f2937;--soft:#4b5563;--edge:#d1d5db;--zebra:#f6f7f9;--mine:#e8efff}
        @media (prefers-color-scheme:dark){:root{--ground:#111827;--ink:#e5e7eb;--soft:#b6bcc6;--edge:#374151;--zebra:#172033;--mine:#1e2f55}}
        body{margin:0 auto;max-width:1400px;padding:24px;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}
        h1{font-size:26px;margin:0 0 4px}h2{font-size:20px;margin:44px 0 2px;border-top:1px solid var(--edge);padding-top:20px}h3{font-size:16px;margin:20px 0 4px}
        p{margin:4px 0 10px;max-width:90ch}.soft{color:var(--soft)}.question{font-size:17px;font-weight:600}
        .plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,560px),1fr));gap:16px;margin:12px 0}.plots figure{margin:0;min-width:0;max-width:760px}.plots svg{width:100%;height:auto;display:block}
        .wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}
        th,td{padding:3px 9px;text-align:right;white-space:nowrap}th{border-bottom:1px solid var(--edge);color:var(--soft);font-weight:600;vertical-align:bottom}
        td.text,th.text{text-align:left}td.long{white-space:normal;min-width:34ch}
        tbody tr:nth-child(even){background:var(--zebra)}tr.mine{background:var(--mine)!important;font-weight:600}tr.ceiling{color:var(--soft);font-style:italic}
        tr.first td{border-top:1px solid var(--edge)}.bad{color:#dc2626;font-weight:600}details{margin:8px 0}summary{cursor:pointer;color:var(--soft)}li{max-width:90ch}
        """;

    internal static string ToHtml(Run run)
    {
        var html = new StringBuilder();
        html.Append(CultureInfo.InvariantCulture, $"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width,initial-scale=1'><title>FastPlasma under load</title>\n<style>\n{Css}\n{PlotStyle.Css}\n</style></head><body>\n");
        html.Append("<h1>FastPlasma under load</h1>\n");
        html.Append(CultureInfo.InvariantCulture, $"<p class='soft'>{(run.Quick ? "Quick run" : "Full run")} of {run.Seconds:0} s, workers {(run.Pinned ? "pinned to processors" : "not pinned")}. Every figure stands beside its ceiling, measured in the same run, and beside what one would use instead. Files beside this page: results.csv, results.json, and each plot as SVG.</p>\n");
        Ratios(html, run.Ratios);
        Machines(html, run);
        Peers(html, run);
        foreach (ScenarioResult scenario in run.Scenarios)
            Scenario(html, scenario);
        return html.Append("</body></html>\n").ToString();
    }

    private static void Ratios(StringBuilder html, IReadOnlyList<RatioLine> ratios)
    {
        if (ratios.Count == 0)
            return;
        html.Append("<h3>Ratios</h3><p class='soft'>Small questions about FastPlasma alone (fastplasma bench), each with a ceiling that was measured in turns with it, and with a bound for their ratio.</p>\n");
        html.Append("<div class='wide'><table><thead><tr><th class='text'>scenario</th><th>median</th><th>p99</th><th>ceiling</th><th class='text'>unit</th><th>ratio</th><th>bound</th><th class='text'></th><th class='text'>ceiling and note</th></tr></thead><tbody>\n");
        foreach (RatioLine line in ratios)
        {
            string text = line.Error ?? string.Join("; ", new[] { line.Ceiling, line.Note }.OfType<string>());
            html.Append(CultureInfo.InvariantCulture, $"<tr><td class='text'>{Text(line.Scenario)}</td><td>{Number(line.Median)}</td><td>{Number(line.P99)}</td><td>{Number(line.CeilingMedian)}</td><td class='text'>{Text(line.Unit)}</td><td>{Number(line.Ratio)}</td><td>{Text(line.Bound)}</td><td class='text{(line.State == "ok" ? "" : " bad")}'>{line.State}</td><td class='text long'>{Text(text)}</td></tr>\n");
        }

        html.Append("</tbody></table></div>\n");
    }

    private static string Number(double? value) => value is { } number ? Units.Number(number) : "-";

    private static void Machines(StringBuilder html, Run run)
    {
        if (run.Machine.Doubt() is { } doubt)
            html.Append(CultureInfo.InvariantCulture, $"<p class='bad'>{Text(doubt)}</p>\n");
        html.Append("<h3>Machine</h3><div class='wide'><table><tbody>\n");
        foreach ((string name, string value) in run.Machine.Rows())
            html.Append(CultureInfo.InvariantCulture, $"<tr><td class='text'>{Text(name)}</td><td class='text'>{Text(value)}</td></tr>\n");
        html.Append("</tbody></table></div>\n<h3>Rules</h3><ul>\n");
        foreach (string rule in FairnessRules)
            html.Append(CultureInfo.InvariantCulture, $"<li>{Text(rule)}</li>\n");
        html.Append("</ul>\n");
    }

    private static void Peers(StringBuilder html, Run run)
    {
        html.Append("<h3>Who is compared</h3><div class='wide'><table><tbody>\n");
        foreach (PeerNote peer in run.Peers)
        {
            string state = peer.NotMeasured is null ? "" : $" <span class='{(peer.IsFailure ? "bad" : "soft")}'>Not measured: {Text(peer.NotMeasured)}</span>";
            html.Append(CultureInfo.InvariantCulture, $"<tr{ClassOf(peer.Name, isFirst: false)}><td class='text'>{Text(peer.Name)}</td><td class='text long'>{Text(peer.Description)}{state}</td></tr>\n");
        }

        html.Append("</tbody></table></div>\n");
    }

    private static void Scenario(StringBuilder html, ScenarioResult scenario)
    {
        html.Append(CultureInfo.InvariantCulture, $"<h2 id='{Text(scenario.Name)}'>{Text(scenario.Name)}</h2>\n<p class='question'>{Text(scenario.Question)}</p>\n<p class='soft'>{Text(scenario.Method)}</p>\n");
        foreach (Remark remark in scenario.Remarks)
            html.Append(CultureInfo.InvariantCulture, $"<p class='{(remark.IsFailure ? "bad" : "soft")}'>{(remark.IsFailure ? "Failed: " : "")}{Text(remark.Peer)}: {Text(remark.Text)}</p>\n");
        html.Append("<div class='plots'>\n");
        foreach (Plot plot in scenario.Plots)
            html.Append(CultureInfo.InvariantCulture, $"<figure>{SvgPlot.ToElement(plot)}</figure>\n");
        html.Append("</div>\n");
        Table(html, scenario.Lines);
    }

    private static void Table(StringBuilder html, IReadOnlyList<ResultLine> lines)
    {
        if (lines.Count == 0)
            return;
        bool hasBytes = lines.Any(static line => line.BytesPerSecond is not null), hasNotes = lines.Any(static line => line.Note is not null);
        html.Append(CultureInfo.InvariantCulture, $"<details open><summary>{lines.Count} figures</summary><div class='wide'><table><thead><tr><th class='text'>case</th><th class='text'>peer</th><th>figure</th><th>of ceiling</th><th>FastPlasma<br>better by</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>p99.99</th><th>max</th><th>rate</th>{(hasBytes ? "<th>bytes</th>" : "")}<th>batch</th><th>values</th><th>heap<br>B/op</th><th>GCs</th>{(hasNotes ? "<th class='text'>note</th>" : "")}</tr></thead><tbody>\n");
        string last = "";
        foreach (ResultLine line in ByCase(lines))
        {
            html.Append(CultureInfo.InvariantCulture, $"<tr{ClassOf(line.Peer, line.Case != last)}><td class='text'>{Text(line.Case)}</td><td class='text'>{Text(line.Peer)}</td><td>{Units.Figure(line.Kind, line.Figure)}</td><td>{(line.Ratio is null ? "" : $"× {Units.Factor(line.Ratio)}")}</td><td>{(line.FastPlasmaIsBetterBy is null ? "" : $"× {Units.Factor(line.FastPlasmaIsBetterBy)}")}</td>");
            foreach (double? time in (double?[])[line.P50Ns, line.P90Ns, line.P99Ns, line.P999Ns, line.P9999Ns, line.MaxNs])
                html.Append(CultureInfo.InvariantCulture, $"<td>{Units.Time(time)}</td>");
            html.Append(CultureInfo.InvariantCulture, $"<td>{Units.Rate(line.OperationsPerSecond)}</td>{(hasBytes ? $"<td>{Units.Throughput(line.BytesPerSecond)}</td>" : "")}<td>{line.Batch}</td><td>{line.Samples}</td><td>{line.AllocatedBytesPerOperation:0.#}</td><td>{string.Join('/', line.Collections)}</td>{(hasNotes ? $"<td class='text'>{Text(line.Note ?? "")}</td>" : "")}</tr>\n");
            last = line.Case;
        }

        html.Append("</tbody></table></div></details>\n");
    }

    /// <summary>All peers of a case together, in the order in which the cases came.</summary>
    internal static IEnumerable<ResultLine> ByCase(IReadOnlyList<ResultLine> lines) => lines.GroupBy(static line => line.Case).SelectMany(static group => group);

    private static string ClassOf(string peer, bool isFirst)
    {
        string own = peer switch
        {
            PeerList.Product => "mine",
            CeilingPeer.PeerName => "ceiling",
            _ => "",
        };
        string all = $"{own}{(isFirst ? " first" : "")}".Trim();
        return all.Length == 0 ? "" : $" class='{all}'";
    }

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
