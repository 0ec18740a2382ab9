#!/usr/bin/env perl
# Tests of Feed::Throttle, with a clock that the tests turn by hand.
use v5.34;
use warnings;
use feature 'signatures';
no warnings 'experimental::signatures';

use Test::More;

# The module under test is small enough to live in front of its tests.
package Feed::Throttle {
    use Carp qw(croak);

    # Decides when each feed may be fetched again, from what its server says and from
    # how often it really changes.
    sub new ($class, %args) {
        my $self = {
            floor   => 15 * 60,
            ceiling => 24 * 3600,
            clock   => sub { time },
            feeds   => {},
            %args,
        };
        croak 'the floor lies above the ceiling' if $self->{floor} > $self->{ceiling};
        return bless $self, $class;
    }

    sub is_due ($self, $feed) {
        my $entry = $self->{feeds}{$feed} or return 1;
        return !$entry->{gone} && $self->{clock}->() >= $entry->{next};
    }

    sub record ($self, $feed, %answer) {
        my $now   = $self->{clock}->();
        my $entry = $self->{feeds}{$feed} //= { pause => 3600, failures => 0 };

        if ($answer{status} == 410) {
            $entry->{gone} = 1;
            return;
        }
        if ($answer{status} == 429 || $answer{status} >= 500) {
            my $backoff = $self->{floor} * 2**$entry->{failures}++;
            $entry->{next} = $now + $self->_clamp($answer{retry_after} // $backoff);
            return;
        }
        $entry->{failures} = 0;
        # Look sooner at what has changed, later at what has not.
        $entry->{pause} *= $answer{status} == 304 ? 1.5 : 0.5;
        $entry->{pause} = $self->_clamp($entry->{pause});
        my $wait = $entry->{pause};
        $wait = $answer{max_age} if defined $answer{max_age} && $answer{max_age} > $wait;
        $entry->{next} = $now + $self->_clamp($wait);
        return;
    }

    sub due_at ($self, $feed) { $self->{feeds}{$feed}{next} }

    sub _clamp ($self, $seconds) {
        return $seconds < $self->{floor} ? $self->{floor}
             : $seconds > $self->{ceiling} ? $self->{ceiling}
             :                               $seconds;
    }
}

package main;

my $now;

sub throttle (%args) {
    $now = 1_000_000;
    return Feed::Throttle->new(clock => sub { $now }, %args);
}

sub minutes ($throttle, $feed) { ($throttle->due_at($feed) - $now) / 60 }

subtest 'a feed that was never fetched is due' => sub {
    ok throttle()->is_due('weather');
};

subtest 'the pause follows the feed' => sub {
    my $t = throttle();
    my @pauses = map { $t->record(news => status => $_); minutes($t, 'news') } 200, 200, 200, 304, 304;
    is_deeply \@pauses, [30, 15, 15, 22.5, 33.75], 'halved down to the floor, then half as long again';

    $t->record(news => status => 304) for 1 .. 20;
    is minutes($t, 'news'), 24 * 60, 'never above a day';
};

subtest 'the clock decides, to the second' => sub {
    my $t = throttle();
    $t->record(news => status => 200);
    $now += 30 * 60 - 1;
    ok !$t->is_due('news'), 'a second early';
    $now += 1;
    ok $t->is_due('news'), 'on time';
};

subtest 'a longer max-age is honoured, a shorter one is not' => sub {
    my $t = throttle();
    $t->record(comic => status => 200, max_age => 6 * 3600);
    is minutes($t, 'comic'), 360;
    $t->record(comic => status => 200, max_age => 5);
    is minutes($t, 'comic'), 15;
};

subtest 'trouble' => sub {
    my $t = throttle();
    my @waits = map { $t->record(blog => status => 503); minutes($t, 'blog') } 1 .. 9;
    is_deeply [@waits[0 .. 3]], [15, 30, 60, 120], 'doubles';
    is $waits[-1], 1440, 'up to the ceiling';

    $t->record(blog => status => 429, retry_after => 40 * 60);
    is minutes($t, 'blog'), 40, 'unless the server names a time';

    $t->record(blog => status => 304);
    $t->record(blog => status => 500);
    is minutes($t, 'blog'), 15, 'success resets the count';
};

subtest '410 is for ever' => sub {
    my $t = throttle();
    $t->record(old => status => 410);
    $now += 365 * 86_400;
    ok !$t->is_due('old');
};

subtest 'settings are checked' => sub {
    ok !eval { throttle(floor => 100, ceiling => 50); 1 };
    like $@, qr/\Athe floor lies above the ceiling at \Q$0\E line \d+/, 'blames the caller';
};

done_testing;
