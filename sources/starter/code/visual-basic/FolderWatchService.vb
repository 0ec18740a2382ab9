Imports System.Collections.Concurrent
Imports System.IO
Imports System.Linq
Imports System.Security.Cryptography
Imports System.Threading
Imports System.Threading.Tasks

''' <summary>
''' Picks up scans that the multifunction printers drop into a share, waits until
''' each file is complete, and files it by department and date.
''' </summary>
''' <remarks>
''' File system events are only hints: they arrive several times, before the writer
''' has finished, and not at all when the buffer overflows. A queue removes the
''' duplicates, a stability test waits for the writer, and a full scan every few
''' minutes finds what the events missed.
''' </remarks>
Public NotInheritable Class FolderWatchService
    Implements IAsyncDisposable

    Public Event Filed(source As String, target As String)
    Public Event Failed(source As String, reason As Exception)

    Private Shared ReadOnly RescanInterval As TimeSpan = TimeSpan.FromMinutes(5)
    Private Shared ReadOnly SettleTime As TimeSpan = TimeSpan.FromSeconds(2)

    Private ReadOnly _inbox As String
    Private ReadOnly _archive As String
    Private ReadOnly _pending As New ConcurrentDictionary(Of String, Byte)(StringComparer.OrdinalIgnoreCase)
    Private ReadOnly _queue As New BlockingCollection(Of String)()
    Private ReadOnly _stopping As New CancellationTokenSource()
    Private ReadOnly _watcher As FileSystemWatcher
    Private _workers As Task()

    Public Sub New(inbox As String, archive As String)
        _inbox = Path.GetFullPath(inbox)
        _archive = Path.GetFullPath(archive)
        If _archive.StartsWith(_inbox & Path.DirectorySeparatorChar, StringComparison.OrdinalIgnoreCase) Then
            Throw New ArgumentException("The archive must not lie inside the inbox.", NameOf(archive))
        End If
        _watcher = New FileSystemWatcher(_inbox) With {
            .IncludeSubdirectories = True,
            .NotifyFilter = NotifyFilters.FileName Or NotifyFilters.Size,
            .InternalBufferSize = 64 * 1024
        }
        AddHandler _watcher.Created, Sub(sender, e) Enqueue(e.FullPath)
        AddHandler _watcher.Renamed, Sub(sender, e) Enqueue(e.FullPath)
        AddHandler _watcher.Error, Sub(sender, e) Rescan()
    End Sub

    Public Sub Start(Optional workerCount As Integer = 2)
        If _workers IsNot Nothing Then Throw New InvalidOperationException("The service is running.")
        _watcher.EnableRaisingEvents = True
        _workers = Enumerable.Range(0, workerCount).
            Select(Function(i) Task.Run(Function() WorkAsync())).
            Append(Task.Run(Function() RescanPeriodicallyAsync())).
            ToArray()
    End Sub

    Private Sub Enqueue(fullPath As String)
        If Not String.Equals(Path.GetExtension(fullPath), ".pdf", StringComparison.OrdinalIgnoreCase) Then Return
        If _pending.TryAdd(fullPath, 0) Then _queue.Add(fullPath)
    End Sub

    Private Sub Rescan()
        For Each file In Directory.EnumerateFiles(_inbox, "*.pdf", SearchOption.AllDirectories)
            Enqueue(file)
        Next
    End Sub

    Private Async Function RescanPeriodicallyAsync() As Task
        Try
            Do
                Rescan()
                Await Task.Delay(RescanInterval, _stopping.Token)
            Loop
        Catch ex As OperationCanceledException
        End Try
    End Function

    Private Async Function WorkAsync() As Task
        Try
            For Each source In _queue.GetConsumingEnumerable(_stopping.Token)
                Try
                    Await WaitUntilStableAsync(source)
                    Dim target = FileAway(source)
                    RaiseEvent Filed(source, target)
                Catch ex As FileNotFoundException
                    ' Taken back by the user who scanned it.
                Catch ex As Exception When TypeOf ex Is IOException OrElse TypeOf ex Is UnauthorizedAccessException
                    RaiseEvent Failed(source, ex)
                Finally
                    _pending.TryRemove(source, Nothing)
                End Try
            Next
        Catch ex As OperationCanceledException
        End Try
    End Function

    ' Complete means: the size has stopped changing and nobody has the file open.
    Private Async Function WaitUntilStableAsync(fullPath As String) As Task
        Dim lastSize = -1L
        For attempt = 1 To 150
            Dim size = New FileInfo(fullPath).Length
            If size > 0 AndAlso size = lastSize AndAlso CanOpenExclusively(fullPath) Then Return
            lastSize = size
            Await Task.Delay(SettleTime, _stopping.Token)
        Next
        Throw New IOException($"{Path.GetFileName(fullPath)} was still being written after five minutes.")
    End Function

    Private Shared Function CanOpenExclusively(fullPath As String) As Boolean
        Try
            Using File.Open(fullPath, FileMode.Open, FileAccess.Read, FileShare.None)
                Return True
            End Using
        Catch ex As IOException When Not TypeOf ex Is FileNotFoundException
            Return False
        End Try
    End Function

    ' The first folder below the inbox is the department. A short digest in the name
    ' keeps two scans apart and makes filing the same scan twice harmless.
    Private Function FileAway(source As String) As String
        Dim department = Path.GetRelativePath(_inbox, source).Split(Path.DirectorySeparatorChar).First()
        If department = Path.GetFileName(source) Then department = "unsorted"
        Dim digest As String
        Using stream = File.OpenRead(source)
            digest = Convert.ToHexString(SHA256.HashData(stream)).Substring(0, 8)
        End Using
        Dim folder = Path.Combine(_archive, department, File.GetCreationTime(source).ToString("yyyy\\MM"))
        Directory.CreateDirectory(folder)
        Dim target = Path.Combine(folder, $"{Path.GetFileNameWithoutExtension(source)}-{digest}.pdf")
        File.Move(source, target, overwrite:=True)
        Return target
    End Function

    Public Function DisposeAsync() As ValueTask Implements IAsyncDisposable.DisposeAsync
        Return New ValueTask(StopAsync())       ' Async functions cannot return ValueTask
    End Function

    Private Async Function StopAsync() As Task
        _watcher.Dispose()
        _stopping.Cancel()
        If _workers IsNot Nothing Then Await Task.WhenAll(_workers)
        _stopping.Dispose()
    End Function
End Class
