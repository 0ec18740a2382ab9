#!/usr/bin/env perl
# Thin out dated backups: keep all of the last days, then one per day, week, month.
#
#   logrotate-plan.pl --keep 2d:all,14d:day,10w:week,2y:month /backup/db-*.dump.zst
#   logrotate-plan.pl --apply ...
#
# Nothing is deleted without --apply, and never the newest file.
use v5.34;
use warnings;
use feature 'signatures';
no warnings 'experimental::signatures';

use File::Basename qw(basename);
use Getopt::Long   qw(GetOptions);
use List::Util     qw(max sum0);
use POSIX          qw(strftime);
use Time::Local    qw(timegm_modern);

use constant DAY => 86_400;

my %UNIT = (d => DAY, w => 7 * DAY, m => 30 * DAY, y => 365 * DAY);

# Maps a time to the label of the bucket in which only one file survives.
my %BUCKET = (
    all   => sub ($time) { $time },
    day   => sub ($time) { strftime '%Y-%m-%d', gmtime $time },
    week  => sub ($time) { strftime '%G-W%V',   gmtime $time },
    month => sub ($time) { strftime '%Y-%m',    gmtime $time },
);

sub parse_policy ($text) {
    my @tiers;
    for my $part (split /,/, $text) {
        my ($count, $unit, $bucket) = $part =~ /\A (\d+) ([dwmy]) : (\w+) \z/x
            or die qq{"$part" is not a rule such as 14d:day\n};
        die qq{unknown interval "$bucket" in "$part"\n} unless $BUCKET{$bucket};
        push @tiers, { age => $count * $UNIT{$unit}, bucket => $bucket };
    }
    for my $i (1 .. $#tiers) {
        die "rules must go from short to long\n" if $tiers[$i]{age} <= $tiers[ $i - 1 ]{age};
    }
    return @tiers;
}

# The name is trusted more than the time stamp, which copying tends to change.
sub time_of ($path) {
    if (basename($path) =~ /(?<!\d) (\d{4})-?(\d\d)-?(\d\d) (?: [T_-]? (\d\d)-?(\d\d) )? (?!\d)/x) {
        my ($year, $month, $day, $hour, $minute) = ($1, $2, $3, $4 // 0, $5 // 0);
        my $time = eval { timegm_modern 0, $minute, $hour, $day, $month - 1, $year };
        return $time if defined $time;
    }
    return (stat $path)[9] // die "$path: $!\n";
}

# Returns the files with a verdict each; the oldest of a bucket is the one that stays,
# so that a kept file does not change identity from run to run.
sub plan ($now, $tiers, @files) {
    my @sorted = sort { $a->{time} <=> $b->{time} } @files;
    my %taken;
    for my $file (@sorted) {
        my $age = $now - $file->{time};
        my ($tier) = grep { $age <= $_->{age} } @$tiers;
        if (!$tier) {
            @$file{qw(keep why)} = (0, 'older than every rule');
            next;
        }
        my $label = join ' ', $tier->{bucket}, $BUCKET{ $tier->{bucket} }->($file->{time});
        if (my $winner = $taken{$label}) {
            @$file{qw(keep why)} = (0, 'same ' . $tier->{bucket} . ' as ' . basename $winner->{path});
        }
        else {
            $taken{$label} = $file;
            @$file{qw(keep why)} = (1, $label);
        }
    }
    @{ $sorted[-1] }{qw(keep why)} = (1, 'newest') if @sorted;
    return @sorted;
}

sub human ($bytes) {
    for my $suffix (qw(B KiB MiB GiB)) {
        return sprintf '%.*f %s', $suffix eq 'B' ? 0 : 1, $bytes, $suffix if $bytes < 1024;
        $bytes /= 1024;
    }
    return sprintf '%.1f TiB', $bytes;
}

sub main () {
    my %option = (keep => '2d:all,14d:day,10w:week,1y:month', now => time);
    GetOptions(\%option, 'keep=s', 'now=i', 'apply', 'quiet') && @ARGV
        or die "usage: logrotate-plan.pl [--keep POLICY] [--apply] [--quiet] FILE...\n";

    my @tiers = parse_policy($option{keep});
    my @files = plan($option{now}, \@tiers,
        map { { path => $_, time => time_of($_), size => -s $_ // 0 } } @ARGV);

    my $width = max map { length $_->{path} } @files;
    for my $file (@files) {
        next if $option{quiet} && $file->{keep};
        printf "%-6s %-*s  %s\n", $file->{keep} ? 'keep' : 'drop', $width, $file->{path}, $file->{why};
    }

    my @drop   = grep { !$_->{keep} } @files;
    my $failed = 0;
    if ($option{apply}) {
        for my $file (@drop) {
            next if unlink $file->{path};
            warn "$file->{path}: $!\n";
            $failed++;
        }
    }
    printf "%d of %d files %s, %s\n", @drop - $failed, scalar @files,
        $option{apply} ? 'deleted' : 'would be deleted', human(sum0 map { $_->{size} } @drop);
    return $failed ? 1 : 0;
}

exit main() unless caller;
