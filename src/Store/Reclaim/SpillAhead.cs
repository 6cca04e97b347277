using System.Diagnostics.CodeAnalysis;
using FastPlasma.Native;
using FastPlasma.Participants;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Reclaim;

/// <summary>The background thread of one writing attachment of a store with a place to spill to: moves objects to disk ahead of need, if it is this attachment's turn, and brings back what attachments ask for that cannot.</summary>
/// <remarks>One attachment of a store spills ahead at a time, by a token; when that dies or closes, another follows within a tenth of a second. Nothing depends on it: creates spill for themselves.</remarks>
internal sealed class SpillAhead(PlasmaStore store, LifeTokens token)
{
    private Thread? _thread;
    private bool _isOurTurn;

    /// <summary>Starts the thread; it ends with the attachment.</summary>
    /// <exception cref="OutOfMemoryException">The system refuses it.</exception>
    [SuppressMessage("Usage", "CA2201", Justification = "The runtime's own exception, with what it leaves out.")]
    internal void Start()
    {
        try
        {
            _thread = new Thread(Run) { IsBackground = true, Name = "fastplasma-spill" };
            _thread.Start();
        }
        catch (OutOfMemoryException e)
        {
            throw new OutOfMemoryException("The system refuses a thread for moving objects to disk: this process has too many threads, or no memory or descriptor is left for one.", e);
        }
    }

    /// <summary>Waits for the thread to notice that the store is closed.</summary>
    internal void Join(int timeoutMs) => _thread?.Join(timeoutMs);

    private void Run()
    {
        try
        {
            while (store.TrySpillRound(IsOurTurn)) // Ends with the attachment; each round sleeps unless there is more to do.
            {
            }
        }
        catch (ObjectDisposedException)
        {
            // Closed in the middle of a round.
        }
        catch (Exception e)
        {
            // What is broken is met again, and thrown, by the foreground.
            store.Logger.LogError(e, "Moving objects of store '{Store}' to disk in the background has ended.", store.Name);
        }
        finally
        {
            token.Dispose(); // Another attachment's turn.
        }
    }

    private bool IsOurTurn() => _isOurTurn || (_isOurTurn = token.TryAcquire(SpecialTokens.Spiller));
}
