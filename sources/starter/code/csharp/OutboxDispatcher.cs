using System.Diagnostics.Metrics;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Fulfilment.Messaging;

/// <summary>A message written in the same transaction as the change it announces.</summary>
public sealed class OutboxMessage
{
    public long Id { get; init; }
    public required string Topic { get; init; }
    public required string PartitionKey { get; init; }
    public required JsonDocument Body { get; init; }
    public DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? SentAt { get; set; }
    public int Attempts { get; set; }
    public string? LastError { get; set; }
}

public sealed record OutboxOptions
{
    public int BatchSize { get; init; } = 100;
    public TimeSpan IdleDelay { get; init; } = TimeSpan.FromSeconds(2);
    public int MaxAttempts { get; init; } = 12;
    public int Parallelism { get; init; } = 8;
}

public interface IMessagePublisher
{
    Task PublishAsync(OutboxMessage message, CancellationToken cancellation);
}

/// <summary>
/// Lets request handlers wake the dispatcher after a commit instead of waiting for its
/// next poll. Signals that arrive while it is busy collapse into one.
/// </summary>
public sealed class OutboxSignal
{
    private readonly Channel<bool> _channel = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public void Raise() => _channel.Writer.TryWrite(true);

    public async Task WaitAsync(TimeSpan limit, CancellationToken cancellation)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timeout.CancelAfter(limit);
        try
        {
            await _channel.Reader.ReadAsync(timeout.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            // Nobody called; poll anyway, another process may have written messages.
        }
    }
}

/// <summary>
/// Sends outbox messages at least once, in order within each partition key. A key whose
/// message fails is held back for the rest of the batch; other keys go on.
/// </summary>
public sealed partial class OutboxDispatcher(
    IServiceScopeFactory scopes,
    IMessagePublisher publisher,
    OutboxSignal signal,
    TimeProvider clock,
    IOptionsMonitor<OutboxOptions> options,
    ILogger<OutboxDispatcher> logger) : BackgroundService
{
    private static readonly Meter Meter = new("Fulfilment.Outbox");
    private static readonly Histogram<double> Lag =
        Meter.CreateHistogram<double>("outbox.lag", unit: "s", description: "Commit to publication");

    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            var sent = 0;
            try
            {
                sent = await DispatchBatchAsync(stopping);
            }
            catch (Exception error) when (error is not OperationCanceledException)
            {
                LogBatchFailed(error);
            }
            if (sent < options.CurrentValue.BatchSize)
            {
                await signal.WaitAsync(options.CurrentValue.IdleDelay, stopping);
            }
        }
    }

    private async Task<int> DispatchBatchAsync(CancellationToken stopping)
    {
        var settings = options.CurrentValue;
        await using var scope = scopes.CreateAsyncScope();
        var db = scope.ServiceProvider.GetRequiredService<FulfilmentContext>();
        await using var transaction = await db.Database.BeginTransactionAsync(stopping);

        // Locked until the commit: two instances never share a batch.
        var batch = await db.Outbox
            .FromSql($"""
                SELECT * FROM outbox
                WHERE sent_at IS NULL AND attempts < {settings.MaxAttempts}
                ORDER BY id LIMIT {settings.BatchSize}
                FOR UPDATE SKIP LOCKED
                """)
            .ToListAsync(stopping);

        var parallel = new ParallelOptions { MaxDegreeOfParallelism = settings.Parallelism, CancellationToken = stopping };
        await Parallel.ForEachAsync(batch.GroupBy(message => message.PartitionKey), parallel, SendInOrderAsync);

        await db.SaveChangesAsync(CancellationToken.None); // what was sent must be recorded
        await transaction.CommitAsync(CancellationToken.None);
        return batch.Count(message => message.SentAt is not null);
    }

    private async ValueTask SendInOrderAsync(IGrouping<string, OutboxMessage> group, CancellationToken stopping)
    {
        foreach (var message in group)
        {
            message.Attempts++;
            try
            {
                await publisher.PublishAsync(message, stopping);
                message.SentAt = clock.GetUtcNow();
                Lag.Record((message.SentAt.Value - message.CreatedAt).TotalSeconds, new("topic", message.Topic));
            }
            catch (Exception error)
            {
                message.LastError = error.Message;
                LogPublishFailed(error, message.Id, message.Attempts);
                return;
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Outbox batch failed")]
    private partial void LogBatchFailed(Exception error);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Message {Id} failed on attempt {Attempt}")]
    private partial void LogPublishFailed(Exception error, long id, int attempt);
}
