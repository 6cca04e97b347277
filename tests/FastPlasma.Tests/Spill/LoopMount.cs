using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Tests.Spill;

/// <summary>A file system of its own on a loop device whose blocks lie in a tmpfs: when that is full the device fails, as a disk does. All of it is gone at the end.</summary>
internal sealed class LoopMount : IDisposable
{
    private readonly TempMount _blocks;
    private readonly string? _device;
    private bool _isMounted;

    /// <param name="megabytes">Size of the file system.</param>
    /// <param name="backedMegabytes">Memory behind it; less than its size for a device that fails before it is full.</param>
    internal LoopMount(int megabytes, int backedMegabytes)
    {
        _blocks = new TempMount("tmpfs", string.Create(CultureInfo.InvariantCulture, $"size={backedMegabytes}m"));
        string image = System.IO.Path.Combine(_blocks.Path, "image");
        try
        {
            using (FileStream file = File.Create(image))
                file.SetLength((long)megabytes << 20);
            Run("mkfs.ext4", "-q", image);
            _device = Run("losetup", "--find", "--show", image).Trim();
        }
        catch
        {
            _blocks.Dispose();
            throw;
        }
        try
        {
            Run("mount", _device, Path);
            _isMounted = true;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    internal string Path { get; } = Directory.CreateTempSubdirectory("fptest-loop-").FullName;

    /// <summary>Takes the memory behind the device that is left: from here on writes to blocks that were never written fail.</summary>
    internal void FillBacking()
    {
        using FileStream file = File.Create(System.IO.Path.Combine(_blocks.Path, "filler"));
        byte[] piece = new byte[1 << 16];
        try
        {
            while (true) // Ends with the file system.
            {
                file.Write(piece);
                file.Flush();
            }
        }
        catch (IOException)
        {
            // Full.
        }
    }

    public void Dispose()
    {
        if (_isMounted)
            Run("umount", "--lazy", Path); // What a store of a failed test still has open does not keep the rest from being removed.
        _isMounted = false;
        if (_device is not null)
            Run("losetup", "--detach", _device);
        Directory.Delete(Path);
        _blocks.Dispose();
    }

    private static string Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {error.Result}. These tests need the right to mount and a loop device: run them as root (in a container: --privileged).");
        return output;
    }
}
