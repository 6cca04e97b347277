using System.Diagnostics.CodeAnalysis;
using System.Numerics.Tensors;

namespace FastPlasma.Data;

/// <summary>A pinned tensor: its elements, in place and read-only, until <see cref="Dispose"/>.</summary>
/// <remarks>Lives on the stack and allocates nothing up to four dimensions (the span itself takes an array beyond that). <see cref="Span"/> is a bare pointer into the store, as <see cref="PlasmaObject.Span"/> is: do not use it after Dispose.
/// To keep a tensor longer than a method, keep the <see cref="PlasmaObject"/> and call <see cref="TensorExtensions.AsTensor{T}(in PlasmaObject, int)"/> where it is read.</remarks>
/// <typeparam name="T">Element type.</typeparam>
[SuppressMessage("Performance", "CA1815", Justification = "Handles are not compared.")]
public readonly ref struct TensorObject<T> : IDisposable
    where T : unmanaged
{
    private readonly PlasmaObject _object;

    internal TensorObject(scoped in PlasmaObject obj, ReadOnlyTensorSpan<T> span)
    {
        _object = obj;
        Span = span;
    }

    /// <summary>The elements, dense and row-major, at an address that is a multiple of 64 (of 4,096 from 32 KiB on).</summary>
    public ReadOnlyTensorSpan<T> Span { get; }

    /// <summary>The pin; disposing it is disposing this.</summary>
    public PlasmaObject Object => _object;

    /// <summary>Ends the pin. A second call does nothing.</summary>
    public void Dispose() => _object.Dispose();
}

/// <summary>A tensor that is being created: its elements, writable in place, until <see cref="Seal"/> or <see cref="Dispose"/>. The rules are those of <see cref="ObjectWriter"/>.</summary>
/// <typeparam name="T">Element type.</typeparam>
[SuppressMessage("Performance", "CA1815", Justification = "Writers are not compared.")]
public readonly ref struct TensorWriter<T> : IDisposable
    where T : unmanaged
{
    private readonly ObjectWriter _writer;
    private readonly TensorSpan<T> _span;

    internal TensorWriter(scoped in ObjectWriter writer, TensorSpan<T> span)
    {
        _writer = writer;
        _span = span;
    }

    /// <summary>The elements, dense and row-major. They hold what the memory's last owner left: write all of them.</summary>
    /// <exception cref="InvalidOperationException">The writer is no longer open.</exception>
    public TensorSpan<T> Span
    {
        get
        {
            if (!_writer.IsOpen)
                throw new InvalidOperationException("The tensor was sealed or aborted before, or its store is closed.");
            return _span;
        }
    }

    /// <summary>The object's own writer.</summary>
    public ObjectWriter Writer => _writer;

    /// <inheritdoc cref="ObjectWriter.Seal"/>
    public void Seal() => _writer.Seal();

    /// <inheritdoc cref="ObjectWriter.TrySeal"/>
    public PlasmaStatus TrySeal() => _writer.TrySeal();

    /// <inheritdoc cref="ObjectWriter.Dispose"/>
    public void Dispose() => _writer.Dispose();
}
