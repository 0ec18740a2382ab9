using System.Collections.ObjectModel;
using CommunityToolkit.Mvvm.ComponentModel;
using CommunityToolkit.Mvvm.Input;
using CommunityToolkit.Mvvm.Messaging;

namespace LiftInspector.ViewModels;

public enum Finding { Unchecked, InOrder, Defect, NotApplicable }

public sealed record ChecklistItem(string Id, string Question, bool PhotoRequiredOnDefect, string[] DependsOn);

/// <summary>Sent when an inspection was signed; the sync service uploads it.</summary>
public sealed record InspectionSigned(Guid InspectionId, int Defects);

/// <summary>One question of the checklist, with the inspector's answer.</summary>
public sealed partial class AnswerViewModel(ChecklistItem item) : ObservableObject
{
    public ChecklistItem Item { get; } = item;

    [ObservableProperty]
    [NotifyPropertyChangedFor(nameof(IsComplete), nameof(NeedsPhoto))]
    private Finding _finding;

    [ObservableProperty]
    [NotifyPropertyChangedFor(nameof(IsComplete))]
    private string _remark = "";

    [ObservableProperty]
    private bool _isVisible = true;

    public ObservableCollection<string> Photos { get; } = [];

    public bool NeedsPhoto => Finding is Finding.Defect && Item.PhotoRequiredOnDefect && Photos.Count == 0;

    public bool IsComplete => !IsVisible || Finding switch
    {
        Finding.Unchecked => false,
        Finding.Defect => !NeedsPhoto && !string.IsNullOrWhiteSpace(Remark),
        _ => true,
    };

    [RelayCommand]
    private void AttachPhoto(string path)
    {
        Photos.Add(path);
        OnPropertyChanged(nameof(NeedsPhoto));
        OnPropertyChanged(nameof(IsComplete));
    }
}

/// <summary>
/// Leads through an inspection page by page. Drafts are saved as the inspector goes,
/// because lift shafts have no reception and telephones run out of battery.
/// </summary>
public sealed partial class InspectionWizardViewModel : ObservableObject
{
    private readonly IDraftStore _drafts;
    private readonly IMessenger _messenger;
    private readonly Guid _id;
    private CancellationTokenSource? _pendingSave;

    public InspectionWizardViewModel(
        Guid id, IReadOnlyList<ChecklistItem> checklist, IDraftStore drafts, IMessenger messenger)
    {
        (_id, _drafts, _messenger) = (id, drafts, messenger);
        Answers = [.. checklist.Select(item => new AnswerViewModel(item))];
        foreach (var answer in Answers)
        {
            answer.PropertyChanged += (_, change) =>
            {
                if (change.PropertyName is nameof(AnswerViewModel.Finding)) UpdateVisibility();
                OnPropertyChanged(nameof(Progress));
                SignCommand.NotifyCanExecuteChanged();
                _ = SaveSoonAsync();
            };
        }
        UpdateVisibility();
    }

    public IReadOnlyList<AnswerViewModel> Answers { get; }

    [ObservableProperty]
    [NotifyCanExecuteChangedFor(nameof(BackCommand), nameof(ForwardCommand))]
    [NotifyPropertyChangedFor(nameof(Current))]
    private int _position;

    [ObservableProperty]
    private string? _saveProblem;

    private IReadOnlyList<AnswerViewModel> Visible => [.. Answers.Where(answer => answer.IsVisible)];

    public AnswerViewModel Current => Visible[Math.Clamp(Position, 0, Visible.Count - 1)];

    public double Progress => (double)Visible.Count(answer => answer.IsComplete) / Visible.Count;

    /// <summary>A question is asked only if none it depends on was found not applicable.</summary>
    private void UpdateVisibility()
    {
        var absent = Answers
            .Where(answer => answer.Finding is Finding.NotApplicable)
            .Select(answer => answer.Item.Id)
            .ToHashSet();
        foreach (var answer in Answers)
        {
            answer.IsVisible = !answer.Item.DependsOn.Any(absent.Contains);
        }
    }

    [RelayCommand(CanExecute = nameof(CanGoBack))]
    private void Back() => Position--;

    private bool CanGoBack() => Position > 0;

    [RelayCommand(CanExecute = nameof(CanGoForward))]
    private void Forward() => Position++;

    private bool CanGoForward() => Position < Visible.Count - 1;

    [RelayCommand(CanExecute = nameof(CanSign))]
    private async Task SignAsync(byte[] signature, CancellationToken cancellation)
    {
        await _drafts.SealAsync(_id, signature, cancellation);
        var defects = Answers.Count(answer => answer is { IsVisible: true, Finding: Finding.Defect });
        _messenger.Send(new InspectionSigned(_id, defects));
    }

    private bool CanSign(byte[]? signature) => signature is { Length: > 0 } && Visible.All(answer => answer.IsComplete);

    private async Task SaveSoonAsync()
    {
        _pendingSave?.Cancel();
        var save = _pendingSave = new CancellationTokenSource();
        try
        {
            await Task.Delay(TimeSpan.FromMilliseconds(600), save.Token);
            await _drafts.SaveAsync(_id, Answers, save.Token);
            SaveProblem = null;
        }
        catch (OperationCanceledException)
        {
            // A later change took over.
        }
        catch (IOException error)
        {
            SaveProblem = $"Not saved: {error.Message}";
        }
    }
}
