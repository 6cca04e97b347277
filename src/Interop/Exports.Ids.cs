using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;

namespace FastPlasma.Interop;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_id_from_name")]
    internal static int IdFromName(byte* name, nuint nameSize, ObjectId* id)
    {
        try
        {
            ReadOnlySpan<byte> utf8 = Arguments.Bytes(name, nameSize, int.MaxValue, "name");
            if (id == null)
                return Null("id");
            if (utf8.IsEmpty || !Utf8.IsValid(utf8))
                return Errors.Fail(Status.InvalidArgument, "name is empty or not UTF-8.");
            *id = Host.IdOf(name, nameSize); // The hash of a name is that of its UTF-8 form.
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_id_from_content")]
    internal static int IdFromContent(byte* content, nuint contentSize, ObjectId* id)
    {
        try
        {
            if (id == null || (content == null && contentSize != 0))
                return Null("id or content");
            *id = Host.IdOf(content, contentSize);
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_id_random")]
    internal static int IdRandom(ObjectId* id)
    {
        try
        {
            if (id == null)
                return Null("id");
            *id = ObjectId.NewRandom();
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_id_parse")]
    internal static int IdParse(byte* text, nuint textSize, ObjectId* id)
    {
        try
        {
            if (id == null)
                return Null("id");
            const int longest = 2 * ObjectId.SizeBytes;
            ReadOnlySpan<byte> digits = Arguments.Bytes(text, textSize, longest, "text");
            Span<char> characters = stackalloc char[longest];
            characters = characters[..Encoding.Latin1.GetChars(digits, characters)];
            if (!ObjectId.TryParse(characters, null, out ObjectId parsed))
                return Errors.Fail(Status.InvalidArgument, $"text is no id: {longest} hexadecimal digits are expected, or the {2 * ObjectId.PlasmaSizeBytes} of a Plasma id.");
            *id = parsed;
            return 0;
        }
        catch (Exception e)
        {
            return Errors.From(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "fpm_fp_id_format")]
    internal static int IdFormat(ObjectId* id, byte* text)
    {
        if (id == null || text == null)
            return Null("id or text");
        for (int i = 0; i < ObjectId.SizeBytes; i++)
        {
            byte value = ((byte*)id)[i];
            text[2 * i] = "0123456789abcdef"u8[value >> 4];
            text[2 * i + 1] = "0123456789abcdef"u8[value & 15];
        }
        text[2 * ObjectId.SizeBytes] = 0;
        return 0;
    }
}
