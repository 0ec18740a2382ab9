#!/usr/bin/env perl
# Renders a manuscript with numbered sections, cross references and an index.
#
#   manuscript-xref.pl manual.txt > manual.out
#
# Marks in the text:
#   == Title {#id}     a section; the number of signs gives the level
#   @{id}              becomes "section 2.3"
#   ^{term|subterm}    an index entry for this paragraph
#   <<< file.pl 10-20  quotes lines of a file; numbers may be left out
use strict;
use warnings;

use Text::Wrap qw(wrap);

$Text::Wrap::columns = 78;

my (%label, %index, @problems);

# First pass: number the sections, so that references may point forwards.
sub number_sections {
    my @counter;
    for (@_) {
        next unless $_->{kind} eq 'heading';
        my $level = $_->{level};
        if ($level > @counter + 1) {
            push @problems, "line $_->{line}: level $level follows level " . @counter;
        }
        $#counter = $level - 1;
        $counter[-1]++;
        $_->{number} = join '.', map { $_ // 0 } @counter;
        next unless defined $_->{id};
        push @problems, "line $_->{line}: '$_->{id}' is defined twice" if $label{ $_->{id} };
        $label{ $_->{id} } = $_;
    }
}

sub parse {
    my ($handle) = @_;
    my @blocks;
    local $/ = ''; # paragraph mode
    my $line = 1;
    while (my $paragraph = <$handle>) {
        my $start = $line;
        $line += () = $paragraph =~ /\n/g;
        chomp $paragraph;
        if ($paragraph =~ /\A (=+) \s+ (.+?) (?: \s+ \{ \# ([\w-]+) \} )? \z/xs) {
            push @blocks, { kind => 'heading', level => length $1, text => $2, id => $3, line => $start };
        }
        elsif ($paragraph =~ /\A <<< \s+ (\S+) (?: \s+ (\d+)-(\d+) )? \z/x) {
            push @blocks, { kind => 'quote', file => $1, from => $2, to => $3, line => $start };
        }
        elsif ($paragraph =~ /\A[ \t]/) {
            push @blocks, { kind => 'verbatim', text => $paragraph, line => $start };
        }
        else {
            push @blocks, { kind => 'text', text => $paragraph, line => $start };
        }
    }
    return @blocks;
}

sub resolve {
    my ($block, $section) = @_;
    my $text = $block->{text};
    $text =~ s{ \^ \{ ([^|\}]+) (?: \| ([^\}]+) )? \} }{
        $index{$1}{ $2 // '' }{$section}++;
        ''
    }gex;
    $text =~ s{ \@ \{ ([\w-]+) \} }{
        if (my $target = $label{$1}) {
            $target->{used}++;
            "section $target->{number}";
        }
        else {
            push @problems, "line $block->{line}: nothing is called '$1'";
            '[?]';
        }
    }gex;
    $text =~ s/\s+/ /g;
    return $text;
}

sub excerpt {
    my ($block) = @_;
    open my $handle, '<:encoding(UTF-8)', $block->{file} or do {
        push @problems, "line $block->{line}: $block->{file}: $!";
        return '';
    };
    my ($from, $to) = ($block->{from} // 1, $block->{to} // 9**9**9);
    my @lines;
    while (my $line = <$handle>) {
        push @lines, $line if $. >= $from && $. <= $to;
    }
    # Take off the indentation that all lines share.
    my ($indent) = sort { $a <=> $b } map { /^( *)\S/ ? length $1 : () } @lines;
    return join '', map { '    ' . substr $_, $indent } grep { length > $indent } @lines;
}

sub index_lines {
    my @lines;
    for my $term (sort { fc_key($a) cmp fc_key($b) } keys %index) {
        push @lines, $term unless $index{$term}{''};
        for my $sub (sort { fc_key($a) cmp fc_key($b) } keys %{ $index{$term} }) {
            my @sections = sort { version_cmp($a, $b) } keys %{ $index{$term}{$sub} };
            push @lines, ($sub eq '' ? $term : "  $sub") . ', ' . join ', ', @sections;
        }
    }
    return @lines;
}

# Ignores case and leading articles: "the baker" is filed under b.
sub fc_key { my $key = lc shift; $key =~ s/\A(?:the|an?) //; $key }

sub version_cmp {
    my @a = split /\./, shift;
    my @b = split /\./, shift;
    while (@a && @b) {
        my $order = shift(@a) <=> shift @b;
        return $order if $order;
    }
    return @a <=> @b;
}

binmode STDIN,  ':encoding(UTF-8)';
binmode STDOUT, ':encoding(UTF-8)';

my @blocks = parse(*STDIN);
number_sections(@blocks);

my $section = '0';
for my $block (@blocks) {
    if ($block->{kind} eq 'heading') {
        $section = $block->{number};
        my $title = "$section  " . resolve($block, $section);
        print $title, "\n", ($block->{level} == 1 ? '=' : '-') x length $title, "\n\n";
    }
    elsif ($block->{kind} eq 'quote') { print excerpt($block), "\n" }
    elsif ($block->{kind} eq 'verbatim') { print "$block->{text}\n\n" }
    else { print wrap('', '', resolve($block, $section)), "\n\n" }
}
print "Index\n=====\n\n", map { "$_\n" } index_lines() if %index;

push @problems, map { "line $_->{line}: nothing refers to '$_->{id}'" }
    sort { $a->{line} <=> $b->{line} } grep { !$_->{used} } values %label;
print STDERR "$_\n" for @problems;
exit(@problems ? 1 : 0);
