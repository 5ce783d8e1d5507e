(** When the three coefficients come from positional encodings: rem-gram, both directions.

    A matrix is a Gram matrix up to row shifts if A_ij = <p_i, p_j> + c_i.  With three coefficients,
    sets of C >= 2 patches and two sets or more this means gamma <= sigma_A and
    sigma_A + (C - 1) gamma >= C rho: gram_iff.  What must not be negative are the eigenvalues of A
    on vectors of sum 0: eigen_in_set, eigen_blocks.  The converse uses square roots. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From mathcomp Require Import ring.
From Formal Require Import order model association reduction.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Definition gram_up_to_shifts (R : realFieldType) (T : finType) (A : T -> T -> R) :=
  exists (d : finType) (p : T -> d -> R) (c : T -> R), forall i j, A i j = dot (p i) (p j) + c i.

Section Necessary.
Variables (R : realFieldType) (T I : finType) (part : T -> I) (C : nat) (s g r : R).
Hypothesis eqC : equal part C.
Let A := levels part s g r.

Lemma sum_pick (h : T) (Q : pred T) : \sum_(k | Q k) (k == h)%:R = (Q h)%:R :> R.
Proof.
case: (boolP (Q h)) => [Qh|nQ]; last first.
  by rewrite big1 // => m Qm; case: eqP Qm nQ => // -> ->.
by rewrite (bigD1 h) //= eqxx big1 ?addr0 // => m /andP[_ /negbTE ->].
Qed.

Lemma sum_block k : \sum_h (part h == k)%:R = C%:R :> R.
Proof.
rewrite -(ones_in_set R eqC k) /set_sum [RHS]big_mkcond; apply: eq_bigr => h _.
by case: (part h == k).
Qed.

(** On a vector of sum 0 the quadratic form of A is a sum of squares. *)
Lemma gram_eigen (u : T -> R) (m : R) (i0 : T) : gram_up_to_shifts A -> \sum_i u i = 0 ->
  (forall i, \sum_j A i j * u j = m * u i) -> u i0 != 0 -> 0 <= m.
Proof.
move=> [d [p [c eqA]]] sum0 eigen u0.
have form : m * (\sum_i u i * u i) = \sum_k (\sum_i u i * p i k) ^+ 2.
  rewrite mulr_sumr (eq_bigr (fun i => \sum_k (u i * p i k) * (\sum_j u j * p j k))) => [|i _].
    by rewrite exchange_big; apply: eq_bigr => k _; rewrite -mulr_suml.
  rewrite mulrCA -eigen mulr_sumr (eq_bigr (fun j => u i * dot (p i) (p j) * u j + u i * c i * u
    j)).
    rewrite big_split /= -mulr_sumr sum0 mulr0 addr0.
    rewrite (eq_bigr (fun j => \sum_k u i * p i k * (u j * p j k))) => [|j _].
      by rewrite exchange_big; apply: eq_bigr => k _; rewrite mulr_sumr.
    by rewrite /dot mulr_sumr mulr_suml; apply: eq_bigr => k _; ring.
  by move=> j _; rewrite eqA; ring.
have pos : 0 < \sum_i u i * u i.
  rewrite (bigD1 i0) //= addrC add_ge0_gt0 ?sumr_ge0 // => [i _|]; first by rewrite -expr2 sqr_ge0.
  by rewrite lt_neqAle -expr2 sqr_ge0 eq_sym expf_neq0.
rewrite leNgt; apply/negP => m_lt0.
have : m * (\sum_i u i * u i) < 0 by rewrite -oppr_gt0 -mulNr mulr_gt0 // oppr_gt0.
by rewrite form ltNge sumr_ge0 // => k _; rewrite sqr_ge0.
Qed.

Theorem eigen_in_set i j : i != j -> part i = part j ->
  forall k, \sum_h A k h * ((h == i)%:R - (h == j)%:R) = (s - g) * ((k == i)%:R - (k == j)%:R).
Proof.
move=> nij ep k; rewrite (row_sum _ s g r _ id) /=.
rewrite /set_sum !sumrB !sum_pick ep subrr sub0r.
by move: ((k == i)%:R) ((k == j)%:R) => a b; ring.
Qed.

Theorem eigen_blocks k l : k != l -> forall i,
  \sum_h A i h * ((part h == k)%:R - (part h == l)%:R) =
  (s + (C%:R - 1) * g - C%:R * r) * ((part i == k)%:R - (part i == l)%:R).
Proof.
move=> nkl i; rewrite (row_sum _ s g r _ id) /=.
rewrite sumrB !sum_block subrr /set_sum.
rewrite (eq_bigr (fun=> 1 * ((part i == k)%:R - (part i == l)%:R))) => [|h /eqP ->]; last first.
  by rewrite mul1r.
rewrite -mulr_suml -/(set_sum part (fun=> 1) (part i)) (ones_in_set R eqC).
by move: ((part i == k)%:R) ((part i == l)%:R) => a b; ring.
Qed.
End Necessary.

Section Criterion.
Variables (R : rcfType) (T I : finType) (part : T -> I) (C : nat) (s g r : R).
Hypotheses (eqC : equal part C) (C_gt1 : (1 < C)%N) (L_gt1 : (1 < #|I|)%N).

Theorem gram_iff : gram_up_to_shifts (levels part s g r) <->
  g <= s /\ C%:R * r <= s + (C%:R - 1) * g.
Proof.
have C_gt0 : (0 < C)%N by apply: ltn_trans C_gt1.
have /card_gt1P[k [l [_ _ nkl]]] := L_gt1.
have [i0 ei0] := block_has k eqC C_gt0.
split=> [gram|[gs rs]].
  have [j nj ej] := two_in_a_set eqC i0 C_gt1.
  rewrite -(subr_ge0 g) -(subr_ge0 (C%:R * r)); split.
    apply: (gram_eigen (i0 := j) gram _ (eigen_in_set s g r nj ej)).
      by rewrite sumrB !(sum_pick R _ predT) subrr.
    by rewrite eqxx (negbTE nj) subr0 oner_eq0.
  apply: (gram_eigen (i0 := i0) gram _ (eigen_blocks s g r eqC nkl)).
    by rewrite sumrB !(sum_block R eqC) subrr.
  by rewrite ei0 eqxx (negbTE nkl) subr0 oner_eq0.
pose a := Num.sqrt (s - g); pose b := Num.sqrt (s + (C%:R - 1) * g - C%:R * r).
have a2 : a * a = s - g by rewrite -expr2 sqr_sqrtr // subr_ge0.
have b2 : b * b = s + (C%:R - 1) * g - C%:R * r by rewrite -expr2 sqr_sqrtr // subr_ge0.
have C0 : C%:R != 0 :> R by rewrite pnatr_eq0 -lt0n.
pose e := (b - a) / C%:R; pose p := levels part (a + e) e 0.
have eb : a + C%:R * e = b by rewrite /e mulrC divfK // addrC subrK.
have eab : e * (a + b) = g - r.
  apply: (mulfI C0); rewrite mulrA [C%:R * e]mulrC divfK // (_ : _ * _ = b * b - a * a);
    last by ring.
  by rewrite a2 b2; ring.
have in_set_of j m : set_sum part (p j) m = if part j == m then b else 0.
  rewrite /set_sum; case: eqP => [<-|/eqP nm].
    rewrite (bigD1 j) //= /p {1}/levels eqxx (eq_bigr (fun=> 1 * e)) => [|h /andP[/eqP eh nh]].
      rewrite -mulr_suml (eq_bigl (fun h => (j != h) && (part j == part h))) => [|h].
        by rewrite (in_set_sum part (fun=> 1)) (ones_in_set R eqC) -eb; ring.
      by rewrite andbC [h == j]eq_sym [part h == _]eq_sym.
    by rewrite /levels eq_sym (negbTE nh) eh eqxx mul1r.
  rewrite big1 // => h /eqP eh; rewrite /p /levels eh (negbTE nm) ifN //.
  by apply: contraNneq nm => ->; rewrite eh.
exists T, p, (fun=> r) => i j; rewrite /dot (row_sum part (a + e) e 0 (p j) id) /= in_set_of mul0r
  addr0.
rewrite /p /levels [part j == part i]eq_sym [j == i]eq_sym; case: (i =P j) => [->|_].
  rewrite eqxx; transitivity (a * a + e * (a + b) + r); first by rewrite a2 eab; ring.
  by ring.
case: ifP => _; last by rewrite subrr !mulr0 !add0r.
by transitivity (e * (a + b) + r); [rewrite eab subrK | ring].
Qed.
End Criterion.
