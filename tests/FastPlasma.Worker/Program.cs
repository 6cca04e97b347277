using System.Collections.Concurrent;
using FastPlasma.Worker;

// Commands come as lines on stdin, each is answered by one line on stdout. The reader is a thread of its own, so that the process ends with its input whatever else it is doing.
using var commands = new BlockingCollection<string>();
new Thread(() =>
{
    while (Console.In.ReadLine() is string line)
        commands.Add(line);
    Environment.Exit(0);
})
{ IsBackground = true }.Start();

var session = new Session();
foreach (string line in commands.GetConsumingEnumerable())
{
    string answer = session.Answer(line);
    Console.Out.WriteLine(answer);
    Console.Out.Flush();
    if (line == "exit")
        break;
}
session.Close();
