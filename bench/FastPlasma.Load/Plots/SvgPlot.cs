using System.Globalization;
using System.Net;
using System.Text;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Plots;

/// <summary>Writes a plot as SVG.</summary>
/// <remarks>
/// Not with a plotting package: those that were tried draw letters with the fonts of the machine, and leave them out where there are none, as in a container; and their colours cannot
/// follow the reader's choice of light or dark.
/// </remarks>
internal static class SvgPlot
{
    private const int Width = 760, Height = 400, Left = 92, Right = 136, Top = 34, Bottom = 52;
    private const int PlotWidth = Width - Left - Right, PlotHeight = Height - Top - Bottom;
    private const int BarHeight = 18, BarPitch = 28, BarLeft = 120, BarRight = 100, LegendPitch = 20;

    /// <summary>As an element of a page that has <see cref="PlotStyle.Css"/>.</summary>
    internal static string ToElement(Plot plot) => plot.X is null ? Bars(plot, "") : Lines(plot, "");

    /// <summary>As a file of its own.</summary>
    internal static string ToFile(Plot plot)
    {
        string style = $"<style>\n{PlotStyle.Css}.ground{{fill:#fff}}@media (prefers-color-scheme:dark){{.ground{{fill:#111827}}}}\n</style><rect class='ground' width='100%' height='100%'/>\n";
        return plot.X is null ? Bars(plot, style) : Lines(plot, style);
    }

    private static string Lines(Plot plot, string head)
    {
        var svg = new StringBuilder();
        Open(svg, plot, Height, head);
        (double X, double Y)[] all = [.. plot.Series.SelectMany(static series => series.Points)];
        (AxisKind xKind, string xLabel) = plot.X!.Value;
        Axis x = new(xKind, [.. all.Select(static point => point.X)]), y = new(plot.Y.Kind, [.. all.Select(static point => point.Y)]);
        double AtX(double value) => Left + (x.At(value) * PlotWidth);
        double AtY(double value) => Top + ((1 - y.At(value)) * PlotHeight);
        foreach (double tick in x.Ticks)
            Add(svg, $"<path class='grid' d='M{AtX(tick):0.#} {Top}v{PlotHeight}'/><text x='{AtX(tick):0.#}' y='{Top + PlotHeight + 18}' text-anchor='middle'>{x.Text(tick)}</text>\n");
        foreach (double tick in y.Ticks)
            Add(svg, $"<path class='grid' d='M{Left} {AtY(tick):0.#}h{PlotWidth}'/><text x='{Left - 8}' y='{AtY(tick) + 4:0.#}' text-anchor='end'>{y.Text(tick)}</text>\n");
        Add(svg, $"<text x='{Left + (PlotWidth / 2)}' y='{Height - 10}' text-anchor='middle'>{Escape(xLabel)}</text>\n");
        Add(svg, $"<text transform='translate(14 {Top + (PlotHeight / 2)}) rotate(-90)' text-anchor='middle'>{Escape(plot.Y.Label)}</text>\n");

        // The product last, on top of the others.
        foreach (PlotSeries series in plot.Series.OrderBy(static series => series.Peer == PeerList.Product))
        {
            string points = string.Join(' ', series.Points.Select(point => string.Create(CultureInfo.InvariantCulture, $"{AtX(point.X):0.#},{AtY(point.Y):0.#}")));
            Add(svg, $"<polyline class='line {PlotStyle.ClassOf(series.Peer)}' points='{points}'/>\n");
            foreach ((double px, double py) in series.Points)
                svg.Append(PlotStyle.Mark(series.Peer, AtX(px), AtY(py), Escape($"{series.Peer}, {x.Text(px)}: {y.Text(py)}"))).Append('\n');
        }

        int row = 0;
        foreach (string peer in plot.Series.Where(static series => series.Points.Count > 0).Select(static series => series.Peer).Distinct())
        {
            int at = Top + 8 + (row++ * LegendPitch), left = Left + PlotWidth + 14;
            Add(svg, $"<path class='line {PlotStyle.ClassOf(peer)}' d='M{left} {at}h24'/>{PlotStyle.Mark(peer, left + 12, at, "")}<text x='{left + 31}' y='{at + 4}'>{Escape(peer)}</text>\n");
        }

        return svg.Append("</svg>\n").ToString();
    }

    private static string Bars(Plot plot, string head)
    {
        var svg = new StringBuilder();
        PlotSeries[] bars = [.. plot.Series.Where(static series => series.Points.Count > 0)];
        int height = Top + (bars.Length * BarPitch) + Bottom, width = Width - BarLeft - BarRight;
        Open(svg, plot, height, head);
        Axis axis = new(plot.Y.Kind, [.. bars.Select(static bar => bar.Points[0].Y)], fromDecade: true);
        foreach (double tick in axis.Ticks)
        {
            double at = BarLeft + (axis.At(tick) * width);
            Add(svg, $"<path class='grid' d='M{at:0.#} {Top}v{bars.Length * BarPitch}'/><text x='{at:0.#}' y='{Top + (bars.Length * BarPitch) + 18}' text-anchor='middle'>{axis.Text(tick)}</text>\n");
        }

        for (int i = 0; i < bars.Length; i++)
        {
            (string peer, double value) = (bars[i].Peer, bars[i].Points[0].Y);
            double length = axis.At(value) * width;
            int top = Top + (i * BarPitch) + ((BarPitch - BarHeight) / 2);
            Add(svg, $"<rect class='mark {PlotStyle.ClassOf(peer)}' x='{BarLeft}' y='{top}' width='{length:0.#}' height='{BarHeight}'/>");
            Add(svg, $"<text x='{BarLeft - 8}' y='{top + 13}' text-anchor='end'>{Escape(peer)}</text><text class='value' x='{BarLeft + length + 6:0.#}' y='{top + 13}'>{axis.Text(value)}</text>\n");
        }

        Add(svg, $"<text x='{BarLeft + (width / 2)}' y='{height - 10}' text-anchor='middle'>{Escape(plot.Y.Label)}</text>\n");
        return svg.Append("</svg>\n").ToString();
    }

    private static void Open(StringBuilder svg, Plot plot, int height, string head)
    {
        Add(svg, $"<svg class='plot' xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {Width} {height}' role='img' aria-label='{Escape(plot.Title)}'>\n{head}");
        Add(svg, $"<text class='title' x='{(plot.X is null ? BarLeft : Left)}' y='20'>{Escape(plot.Title)}</text>\n");
    }

    private static void Add(StringBuilder svg, FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture));

    private static string Escape(string text) => WebUtility.HtmlEncode(text);
}
