using System.Diagnostics;
using System.Globalization;
using Spectre.Console;

namespace FastPlasma.Examples.Copies;

/// <summary>The same object in two processes: addresses of their own, one place in one file.</summary>
internal static unsafe class Addresses
{
    internal static bool Show(PlasmaStore store, string name)
    {
        const string id = "Arrow batch of numbers";
        Place here, there;
        using (PlasmaObject obj = store.Get(ObjectId.FromName(id), TimeSpan.Zero))
            here = Place.Of((nint)obj.Pointer);
        using (Process process = Child.Begin(Child.Look, name, id))
        {
            there = Place.Parse(Child.Line(process));
            process.WaitForExit();
        }
        Table table = new Table().RoundedBorder().AddColumn("process").AddColumn("address").AddColumn("rights").AddColumn("file").AddColumn("inode").AddColumn("offset in the file");
        foreach (Place place in (Place[])[here, there])
            table.AddRow(place.ProcessId.ToString(CultureInfo.InvariantCulture), $"0x{place.Address:x}", place.Rights, place.File, place.Inode, $"0x{place.FileOffset:x}");
        bool isSame = here.FileOffset == there.FileOffset && here.Inode == there.Inode;
        AnsiConsole.Write(new Rule("[bold]One object in two processes[/], from /proc/self/maps").LeftJustified());
        AnsiConsole.Write(table);
        AnsiConsole.MarkupLine($"{(here.Address == there.Address ? "The addresses are equal this time, which is chance" : "The addresses differ")}; the place in the file is {(isSame ? "[green]the same[/]" : "[red]NOT the same[/]")}: the same memory, no copy.\n");
        return isSame;
    }
}
