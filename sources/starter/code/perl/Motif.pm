package Sequence::Motif;

use v5.34;
use warnings;
use feature 'signatures';
no warnings 'experimental::signatures';

use Carp       qw(croak);
use List::Util qw(max sum);

our $VERSION = '0.04';

=head1 NAME

Sequence::Motif - position weight matrices for short DNA motifs

=head1 SYNOPSIS

    my $motif = Sequence::Motif->from_sites(qw(TATAAT TATGAT TACAAT GATACT));
    say $motif->consensus;                    # TATAAT
    for my $hit ($motif->scan($genome, threshold => 6.5)) {
        printf "%d %s %.2f %s\n", @$hit{qw(start strand score site)};
    }

=head1 METHODS

=head2 from_sites(@sites)

Builds a motif from aligned sites of one length. Ambiguity codes in a site are
shared out evenly among the bases that they stand for.

=cut

my @BASES = qw(A C G T);
my %IUPAC = (
    A => 'A',  C => 'C',  G => 'G',   T => 'T',   R => 'AG',  Y => 'CT',   S => 'CG', W => 'AT',
    K => 'GT', M => 'AC', B => 'CGT', D => 'AGT', H => 'ACT', V => 'ACG', N => 'ACGT',
);
my %CODE_FOR = reverse %IUPAC;

sub from_sites ($class, @sites) {
    croak 'no sites given' unless @sites;
    my $length = length $sites[0];
    my @counts = map { { map { $_ => 0 } @BASES } } 1 .. $length;

    for my $site (map { uc } @sites) {
        croak "site $site is not $length long" if length $site != $length;
        for my $i (0 .. $length - 1) {
            my $code  = substr $site, $i, 1;
            my @share = split //, $IUPAC{$code} // croak "'$code' is not a base";
            $counts[$i]{$_} += 1 / @share for @share;
        }
    }
    return bless { counts => \@counts, sites => scalar @sites }, $class;
}

sub length_in_bases ($self) { scalar @{ $self->{counts} } }

=head2 weights(%options)

Log-odds in bits, one hash per position. C<background> gives the composition of the
genome, C<pseudocount> what is added so that a base never seen is merely unlikely.

=cut

sub weights ($self, %options) {
    my $background  = $options{background} // { map { $_ => 0.25 } @BASES };
    my $pseudocount = $options{pseudocount} // sqrt($self->{sites}) / 4;
    my $total       = $self->{sites} + 4 * $pseudocount;
    return map {
        my $column = $_;
        +{  map {
                my $frequency = ($column->{$_} + $pseudocount) / $total;
                $_ => log($frequency / $background->{$_}) / log 2;
            } @BASES
        };
    } @{ $self->{counts} };
}

=head2 information

Bits of information per position, as drawn in sequence logos: 0 to 2.

=cut

sub information ($self) {
    return map {
        my $column = $_;
        2 + sum map { my $p = $column->{$_} / $self->{sites}; $p ? $p * log($p) / log 2 : 0 } @BASES;
    } @{ $self->{counts} };
}

sub consensus ($self) {
    return join '', map {
        my $column = $_;
        my $top    = max values %$column;
        # Bases within a fifth of the most frequent one count as equally good.
        $CODE_FOR{ join '', grep { $column->{$_} >= 0.8 * $top } @BASES };
    } @{ $self->{counts} };
}

=head2 scan($sequence, threshold => $bits, both_strands => 1)

All sites that score at least the threshold, in order of position. Positions count
from zero on the strand that was given. Windows with ambiguous bases are passed over.

=cut

sub scan ($self, $sequence, %options) {
    $sequence = uc $sequence;
    my @forward = $self->weights(%options);
    my @strands = (['+', \@forward]);
    if ($options{both_strands} // 1) {
        # Complementing the matrix once is cheaper than the sequence at every position.
        push @strands, ['-', [map { { A => $_->{T}, C => $_->{G}, G => $_->{C}, T => $_->{A} } } reverse @forward]];
    }
    my $threshold = $options{threshold} // 0.6 * sum map { max values %$_ } @forward;

    my @hits;
    my $width = $self->length_in_bases;
    for my $start (0 .. length($sequence) - $width) {
        my $site = substr $sequence, $start, $width;
        next if $site =~ /[^ACGT]/;
        my @bases = split //, $site;
        for my $pair (@strands) {
            my ($strand, $weights) = @$pair;
            my $score = sum map { $weights->[$_]{ $bases[$_] } } 0 .. $width - 1;
            push @hits, { start => $start, strand => $strand, score => $score, site => $site }
                if $score >= $threshold;
        }
    }
    return @hits;
}

1;
