namespace FastPlasma.Transfer.Wire;

/// <summary>What one peer may ask of another; part of the protocol, so that both sides know.</summary>
internal static class Limits
{
    internal const int Version = 1;

    /// <summary>Records in one frame.</summary>
    internal const int RecordCountMax = 256;

    internal const int PostCountMax = 16, HolderCountMax = 64, ByeBytesMax = 512;

    /// <summary>Largest body of a frame.</summary>
    internal const int BodyBytesMax = RecordCountMax * ObjectRecord.SizeBytes;

    /// <summary>Images up to this size travel in the answer to an Ask.</summary>
    internal const int InlineBytesMax = 64 << 10;

    /// <summary>Inline bytes of one answer; what does not fit is answered <see cref="ObjectAnswer.Later"/>.</summary>
    internal const int AnswerBytesMax = 1 << 20;

    /// <summary>Chunk of every object whose image has at most <see cref="ChunkCountMax"/> of them.</summary>
    internal const int ChunkBytesMin = 512 << 10;

    /// <summary>Most chunks of one object.</summary>
    internal const int ChunkCountMax = 1 << 16;

    /// <summary>Largest image, and thus largest chunk (4 GiB less one is the wire's limit, which this stays below).</summary>
    internal const long ImageBytesMax = 1L << 46;

    /// <summary>Chunk size of an image: the same at every node, since chunk numbers travel.</summary>
    internal static int ChunkBytesOf(long imageBytes)
    {
        long chunk = ChunkBytesMin;
        while (imageBytes > chunk * ChunkCountMax)
            chunk *= 2; // Ends below ImageBytesMax / ChunkCountMax = 1 GiB.
        return (int)chunk;
    }

    internal static int ChunkCountOf(long imageBytes) => (int)((imageBytes + ChunkBytesOf(imageBytes) - 1) / ChunkBytesOf(imageBytes));

    /// <summary>Chunks asked for over one data connection and not yet there.</summary>
    internal const int PostsPerConnectionMax = 128;

    internal const int HandshakeMs = 5000;
}
